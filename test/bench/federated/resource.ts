export const resource = 'https://vault.azure.net';
