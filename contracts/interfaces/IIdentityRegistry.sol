// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev Bits of `Identity.flags`. Nothing leaves a frozen account; a custodian holds shares for others.
uint16 constant FLAG_FROZEN = 1;
uint16 constant FLAG_INVESTOR = 2;
uint16 constant FLAG_SITE_OWNER = 4;
uint16 constant FLAG_ATTESTER = 8;
uint16 constant FLAG_CUSTODIAN = 16;

/// @notice What the registry knows of an account, in one storage slot.
/// @param validUntil Unix second from which the membership has expired; 0 for an account never registered.
/// @param country ISO 3166-1 numeric code.
/// @param flags Bit set of the `FLAG_` constants.
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

    /// @notice A valid site owner, not frozen: may list, issue and open a site's listings to tenants.
    function isSiteOwner(address account) external view returns (bool);

    /// @notice A valid attester, not frozen.
    function isAttester(address account) external view returns (bool);

    /// @notice Holds shares for others (CreditMarket), expired or not: cannot be frozen, seized from or claimed for.
    function isCustodian(address account) external view returns (bool);

    /// @notice Same account, or the same known beneficial owner.
    function sameParty(address a, address b) external view returns (bool);
}
