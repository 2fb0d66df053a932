// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Actions} from "./Actions.sol";
import {Checks} from "./Checks.sol";

/// @notice Random sequences of actions; after each the invariants of contracts.md are asked, 1 to 4 and 7.
/// @dev Forge prints how often each action was called and how often it found nothing to do. A run in which half of them did
/// not succeed, or nothing was settled, claimed, transferred or voided, proves little and fails.
contract InvariantsTest is Checks {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    uint256 private constant DEPTH = 250;

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[18] memory all = [
            Actions.list.selector,
            Actions.open.selector,
            Actions.distribute.selector,
            Actions.report.selector,
            Actions.void.selector,
            Actions.fund.selector,
            Actions.close.selector,
            Actions.settle.selector,
            Actions.release.selector,
            Actions.collect.selector,
            Actions.transferLease.selector,
            Actions.transferShares.selector,
            Actions.claim.selector,
            Actions.withdraw.selector,
            Actions.bond.selector,
            Actions.freeze.selector,
            Actions.pause.selector,
            Actions.blocklist.selector
        ];
        bytes4[] memory selectors = new bytes4[](all.length + 1);
        for (uint256 i; i < all.length; ++i) selectors[i] = all[i];
        selectors[all.length] = Actions.refused.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector({addr: address(this), selectors: selectors});
    }

    /// forge-config: default.invariant.runs = 12
    /// forge-config: default.invariant.depth = 250
    function invariant_MoneyCapacityAndMembership() public {
        checkCash();
        checkShares();
        checkLeases();
        checkCapacity();
        checkMembers();
    }

    function afterInvariant() public view {
        require(successes * 2 >= DEPTH, "less than half of the calls succeeded");
        require(successesOf[Actions.settle.selector] != 0, "no settlement");
        require(successesOf[Actions.claim.selector] != 0, "no claim");
        require(successesOf[Actions.transferLease.selector] != 0, "no lease was transferred");
        require(successesOf[Actions.transferShares.selector] != 0, "no shares were transferred");
        require(successesOf[Actions.void.selector] != 0, "no report was voided");
    }
}
