// What the demo prints: numbered steps, the command that a user would type, and its real output.

const colour = process.stdout.isTTY
  ? (code: number, text: string) => `\u001b[${code}m${text}\u001b[0m`
  : (_code: number, text: string) => text;

let steps = 0;

export function step(title: string): void {
  steps += 1;
  console.log(`\n${colour(1, `${steps}. ${title}`)}`);
}

export function note(text: string): void {
  console.log(colour(2, `   ${text}`));
}

export function command(line: string): void {
  console.log(`   ${colour(36, `$ ${line}`)}`);
}

export function output(text: string): void {
  for (const line of text.trimEnd().split('\n')) console.log(`     ${line}`);
}
