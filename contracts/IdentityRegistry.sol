// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {
    FLAG_ATTESTER,
    FLAG_CUSTODIAN,
    FLAG_FROZEN,
    FLAG_INVESTOR,
    FLAG_SITE_OWNER,
    Identity,
    IIdentityRegistry
} from "./interfaces/IIdentityRegistry.sol";

/// @title IdentityRegistry
/// @notice See IIdentityRegistry.
contract IdentityRegistry is IIdentityRegistry, AccessManaged {
    uint16 private constant KNOWN_FLAGS =
        FLAG_FROZEN | FLAG_INVESTOR | FLAG_SITE_OWNER | FLAG_ATTESTER | FLAG_CUSTODIAN;
    uint16 private constant HOLDER_FLAGS = FLAG_INVESTOR | FLAG_SITE_OWNER | FLAG_CUSTODIAN;

    /// @inheritdoc IIdentityRegistry
    bool public entriesPaused;

    mapping(address account => Identity) private _identities;

    /// @param manager The AccessManager that all contracts share.
    constructor(address manager) AccessManaged(manager) {}

    // ---------------------------------------------------------------- officer

    /// @inheritdoc IIdentityRegistry
    function register(address account, Identity calldata identity) external restricted {
        _checkEntries();
        _register(account, identity);
    }

    /// @inheritdoc IIdentityRegistry
    function registerMany(address[] calldata accounts, Identity[] calldata identities) external restricted {
        _checkEntries();
        if (accounts.length != identities.length) {
            revert IdentityRegistry_LengthMismatch(accounts.length, identities.length);
        }
        for (uint256 i; i < accounts.length; ++i) {
            _register(accounts[i], identities[i]);
        }
    }

    /// @inheritdoc IIdentityRegistry
    function setFrozen(address account, bool frozen) external restricted {
        Identity memory identity = _identities[account];
        if (frozen && identity.flags & FLAG_CUSTODIAN != 0) revert IdentityRegistry_CustodianCannotBeFrozen(account);
        identity.flags = frozen ? identity.flags | FLAG_FROZEN : identity.flags & ~FLAG_FROZEN;
        _set(account, identity);
    }

    // --------------------------------------------------------------- guardian

    /// @inheritdoc IIdentityRegistry
    function setEntriesPaused(bool paused) external restricted {
        entriesPaused = paused;
        emit EntriesPaused(paused);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IIdentityRegistry
    function identityOf(address account) external view returns (Identity memory) {
        return _identities[account];
    }

    /// @inheritdoc IIdentityRegistry
    function isFrozen(address account) external view returns (bool) {
        return _identities[account].flags & FLAG_FROZEN != 0;
    }

    /// @inheritdoc IIdentityRegistry
    function canReceive(address account) external view returns (bool) {
        return _isValid(_identities[account], HOLDER_FLAGS);
    }

    /// @inheritdoc IIdentityRegistry
    function canTransfer(address from, address to) external view returns (bool fromOk, bool toOk) {
        fromOk = _identities[from].flags & FLAG_FROZEN == 0;
        toOk = _isValid(_identities[to], HOLDER_FLAGS);
    }

    /// @inheritdoc IIdentityRegistry
    function isSiteOwner(address account) external view returns (bool) {
        return _isValid(_identities[account], FLAG_SITE_OWNER);
    }

    /// @inheritdoc IIdentityRegistry
    function isAttester(address account) external view returns (bool) {
        return _isValid(_identities[account], FLAG_ATTESTER);
    }

    /// @inheritdoc IIdentityRegistry
    function isCustodian(address account) external view returns (bool) {
        return _identities[account].flags & FLAG_CUSTODIAN != 0;
    }

    /// @inheritdoc IIdentityRegistry
    function sameParty(address a, address b) external view returns (bool) {
        if (a == b) return true;
        uint128 party = _identities[a].party;
        return party != 0 && party == _identities[b].party;
    }

    // --------------------------------------------------------------- internal

    function _checkEntries() private view {
        if (entriesPaused) revert IdentityRegistry_EntriesPaused();
    }

    function _register(address account, Identity memory identity) private {
        if (account == address(0)) revert IdentityRegistry_ZeroAddress();
        if (identity.flags & ~KNOWN_FLAGS != 0) revert IdentityRegistry_UnknownFlags(identity.flags, KNOWN_FLAGS);
        uint16 frozen = _identities[account].flags & FLAG_FROZEN;
        if (frozen != 0 && identity.flags & FLAG_CUSTODIAN != 0) {
            revert IdentityRegistry_CustodianCannotBeFrozen(account);
        }
        identity.flags = (identity.flags & ~FLAG_FROZEN) | frozen;
        _set(account, identity);
    }

    function _set(address account, Identity memory identity) private {
        _identities[account] = identity;
        emit IdentitySet(account, identity.party, identity.validUntil, identity.country, identity.flags);
    }

    /// @dev A member whose time is not over, not frozen, with at least one of `flags`.
    function _isValid(Identity storage identity, uint16 flags) private view returns (bool) {
        return identity.validUntil > block.timestamp && identity.flags & FLAG_FROZEN == 0 && identity.flags & flags != 0;
    }
}
