// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

/// @title Roles
/// @notice Ids of the roles in the shared AccessManager, and what each may call. All else is open to anyone or to the
/// owner of the thing. Admins (id 0) grant roles and set delays.
library Roles {
    /// @dev IdentityRegistry: register, registerMany, setFrozen.
    uint64 internal constant OFFICER = 1;
    /// @dev IdentityRegistry and LeaseBook: setEntriesPaused.
    uint64 internal constant GUARDIAN = 2;
    /// @dev UsageMeter: void.
    uint64 internal constant CHALLENGER = 3;
    /// @dev LeaseBook: setFee, setTokenAllowed, withdrawFees.
    uint64 internal constant POLICY = 4;
    /// @dev Every CapacityShare, configured on the LeaseBook as target: forcedTransfer, setFrozenTokens.
    uint64 internal constant ENFORCER = 5;
}
