// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice What the registry knows of an account, in one storage slot.
/// @param validUntil Unix second from which the membership has expired; 0 for an account never registered.
/// @param country ISO 3166-1 numeric code.
/// @param flags Bit set of the `FLAG_` constants of `IIdentityRegistry`.
/// @param party Beneficial owner, an opaque id given by the officer; 0 when unknown.
struct Identity {
    uint40 validUntil;
    uint16 country;
    uint16 flags;
    uint128 party;
}

/// @title IIdentityRegistry
/// @notice Who may list, invest, attest and hold. One slot an account, written by an officer.
/// @dev An expired member may exit (send, claim, repay, withdraw) but not receive. From a frozen account nothing moves
/// out. An account never registered is neither frozen nor a member: it may rent and lend.
interface IIdentityRegistry {
    /// @notice The whole record of `account`, after a change.
    event IdentitySet(
        address indexed account, uint128 indexed party, uint40 validUntil, uint16 country, uint16 flags
    );
    /// @notice The guardian stopped (or resumed) new registrations. Freezing goes on.
    event EntriesPaused(bool paused);

    error IdentityRegistry_EntriesPaused();
    error IdentityRegistry_ZeroAddress();
    error IdentityRegistry_UnknownFlags(uint16 flags, uint16 known);
    error IdentityRegistry_CustodianCannotBeFrozen(address account);
    error IdentityRegistry_LengthMismatch(uint256 accounts, uint256 identities);

    /// @notice Writes the record of `account` (officer). Keeps a freeze: only `setFrozen` changes that bit.
    function register(address account, Identity calldata identity) external;

    /// @notice `register` for a page of accounts; renewals in batches.
    function registerMany(address[] calldata accounts, Identity[] calldata identities) external;

    /// @notice Freezes or releases an account (officer). Never paused.
    function setFrozen(address account, bool frozen) external;

    /// @notice Stops or resumes `register` (guardian).
    function setEntriesPaused(bool paused) external;

    function entriesPaused() external view returns (bool);
    function identityOf(address account) external view returns (Identity memory);
    function isFrozen(address account) external view returns (bool);

    /// @notice Whether `account` may receive shares: a valid investor, site owner or custodian, not frozen.
    function canReceive(address account) external view returns (bool);

    /// @notice Whether both may take part in a transfer of shares from `from` to `to`, in one call.
    function canTransfer(address from, address to) external view returns (bool fromOk, bool toOk);

    function isSiteOwner(address account) external view returns (bool);
    function isAttester(address account) external view returns (bool);
    function isCustodian(address account) external view returns (bool);

    /// @notice Same account, or the same known beneficial owner.
    function sameParty(address a, address b) external view returns (bool);
}
