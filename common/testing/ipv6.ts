import os from 'node:os';

/** Whether this machine has the IPv6 address of the loopback device. */
export const hasIpv6 = (): boolean => Object.values(os.networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
