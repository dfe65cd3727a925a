// The built-in roles that matter to identity assignment, as far as their actions do.
const builtIn: Readonly<Record<string, readonly string[]>> = {
  Owner: ['*'],
  Contributor: ['*'],
  Reader: ['*/read'],
  'Virtual Machine Contributor': [
    'Microsoft.Compute/locations/*',
    'Microsoft.Compute/virtualMachines/*',
    'Microsoft.Compute/virtualMachineScaleSets/*',
  ],
  'Managed Identity Operator': [
    'Microsoft.ManagedIdentity/userAssignedIdentities/read',
    'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
  ],
  'Managed Identity Contributor': ['Microsoft.ManagedIdentity/userAssignedIdentities/*'],
};

export const roleNames = Object.keys(builtIn);

export function actionsOfRole(role: string | null): readonly string[] {
  return role === null ? [] : (builtIn[role] ?? []);
}
