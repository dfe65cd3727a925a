/** Version of every program, the chart and package.json; a test keeps them equal. */
export const version = '0.2.0';
