// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Authority} from "../../contracts/Authority.sol";
import {CapacityShare} from "../../contracts/CapacityShare.sol";
import {IdentityRegistry} from "../../contracts/IdentityRegistry.sol";
import {LeaseBook} from "../../contracts/LeaseBook.sol";
import {Roles} from "../../contracts/Roles.sol";
import {UsageMeter} from "../../contracts/UsageMeter.sol";
import {FLAG_ATTESTER, Identity} from "../../contracts/interfaces/IIdentityRegistry.sol";
import {Terms} from "../../contracts/interfaces/ILeaseBook.sol";
import {Entry, Report} from "../../contracts/interfaces/IUsageMeter.sol";
import {TestUSD} from "../../contracts/testing/TestUSD.sol";
import {VM} from "./Vm.sol";

/// @notice The whole of Drakewell's contracts, deployed and wired as on a real chain, with this contract in every role, and
/// three attesters of whom two suffice.
abstract contract World {
    uint256 internal constant QUORUM = 2;
    uint256 internal constant WINDOW = 6 hours;
    uint256 internal constant GRACE = 24 hours;
    uint16 internal constant FEE_BPS = 100;
    /// @dev 2027-01-15 00:00 UTC.
    uint256 internal constant MIDNIGHT = 1_799_971_200;

    Authority internal authority;
    IdentityRegistry internal registry;
    LeaseBook internal book;
    UsageMeter internal meter;
    TestUSD internal usd;
    uint256[] internal attesterKeys;

    function _deploy() internal {
        VM.warp(MIDNIGHT);
        authority = Authority(_create("Authority", abi.encode(address(this))));
        registry = IdentityRegistry(_create("IdentityRegistry", abi.encode(authority)));
        usd = TestUSD(_create("TestUSD", ""));
        address next = VM.computeCreateAddress(address(this), VM.getNonce(address(this)) + 1);
        book = LeaseBook(_create("LeaseBook", abi.encode(authority, registry, next, FEE_BPS)));
        meter = UsageMeter(_create("UsageMeter", abi.encode(authority, registry, book, QUORUM, WINDOW, GRACE)));
        require(address(meter) == next, "the meter is not where the book looks for it");

        _open(address(registry), IdentityRegistry.register.selector, Roles.OFFICER);
        _open(address(registry), IdentityRegistry.setFrozen.selector, Roles.OFFICER);
        _open(address(registry), IdentityRegistry.setEntriesPaused.selector, Roles.GUARDIAN);
        _open(address(book), LeaseBook.setEntriesPaused.selector, Roles.GUARDIAN);
        _open(address(book), LeaseBook.setFee.selector, Roles.POLICY);
        _open(address(book), LeaseBook.setTokenAllowed.selector, Roles.POLICY);
        _open(address(book), LeaseBook.withdrawFees.selector, Roles.POLICY);
        _open(address(book), CapacityShare.forcedTransfer.selector, Roles.ENFORCER);
        _open(address(book), CapacityShare.setFrozenTokens.selector, Roles.ENFORCER);
        _open(address(meter), UsageMeter.void.selector, Roles.CHALLENGER);
        for (uint64 role = Roles.OFFICER; role <= Roles.ENFORCER; ++role) {
            authority.grantRole(role, address(this), 0);
        }
        book.setTokenAllowed(address(usd), true);
        for (uint256 key = 0xa1; key <= 0xa3; ++key) {
            attesterKeys.push(key);
            _register(VM.addr(key), FLAG_ATTESTER, uint128(key));
        }
        _sortAttesters();
    }

    /// @dev Not by `new`, which would compile every contract again into every test.
    function _create(string memory name, bytes memory arguments) private returns (address) {
        return VM.deployCode(string.concat(name, ".sol:", name), arguments);
    }

    function _open(address target, bytes4 selector, uint64 role) private {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        authority.setTargetFunctionRole(target, selectors, role);
    }

    /// @dev Signers of a report go up by address.
    function _sortAttesters() private {
        for (uint256 i; i < attesterKeys.length; ++i) {
            for (uint256 j = i + 1; j < attesterKeys.length; ++j) {
                if (VM.addr(attesterKeys[j]) < VM.addr(attesterKeys[i])) {
                    (attesterKeys[i], attesterKeys[j]) = (attesterKeys[j], attesterKeys[i]);
                }
            }
        }
    }

    function _register(address account, uint16 flags, uint128 party) internal {
        registry.register(
            account, Identity({validUntil: type(uint40).max, country: 756, flags: flags, party: party})
        );
    }

    /// @dev An account with a million dollars, all of which the LeaseBook may draw.
    function _fund(address account) internal {
        usd.mint(account, 1_000_000e6);
        VM.prank(account);
        usd.approve(address(book), type(uint256).max);
    }

    /// @dev A listing without limits in the way: price 2.50, SLA 99 %, penalty 1.5 times, an hour's notice.
    function _terms(uint24 gpus) internal view returns (Terms memory) {
        return Terms({
            from: uint40(block.timestamp),
            until: uint40(block.timestamp + 90 days),
            floorPrice: 2.5e6,
            ceilingPrice: 2.5e6,
            gpus: gpus,
            minTerm: 1 hours,
            maxTerm: 30 days,
            notice: 1 hours,
            slaBps: 9_900,
            penaltyBps: 15_000,
            curtailableBps: 1_000,
            wattsPerGpu: 700,
            pueBps: 12_500,
            reclaimWindow: 2 hours,
            compensationBps: 2_000,
            bondPerGpu: 10e6,
            model: "H100-80G"
        });
    }

    /// @dev A report of one entry, signed by the first two attesters.
    function _report(uint256 siteId, Entry memory entry) internal returns (uint256 reportId) {
        Report memory r;
        r.siteId = siteId;
        r.entries = new Entry[](1);
        r.entries[0] = entry;
        return meter.report(r, _signatures(r));
    }

    function _signatures(Report memory r) internal view returns (bytes[] memory signatures) {
        bytes32 digest = meter.digestOf(r);
        signatures = new bytes[](QUORUM);
        for (uint256 i; i < QUORUM; ++i) {
            (uint8 v, bytes32 first, bytes32 second) = VM.sign(attesterKeys[i], digest);
            signatures[i] = abi.encodePacked(first, second, v);
        }
    }
}
