// The ids that Entra uses, as people may write them. Both become parts of a URL.

const guid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const dnsName = /^(?=.{4,253}$)([\da-z]([\da-z-]{0,61}[\da-z])?\.)+[a-z][\da-z-]{0,61}[\da-z]$/i;

export const isClientId = (text: string): boolean => guid.test(text);
/** Not `common` and the like, which stand for any tenant. */
export const isTenant = (text: string): boolean => guid.test(text) || dnsName.test(text);
