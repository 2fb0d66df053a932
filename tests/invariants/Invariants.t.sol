// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Checks} from "./Checks.sol";

/// @notice Random sequences of actions; after each the invariants of contracts.md are asked, 1 to 4 and 7.
/// @dev With -vv forge prints how often each action was called and how often it found something to do. A run in which half of
/// them did not, or nothing was settled, claimed, transferred or voided, proves little and fails.
contract InvariantsTest is Checks {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    event log(string line);

    uint256 private constant DEPTH = 250;

    string[] private ACTIONS = [
        "list",
        "open",
        "distribute",
        "report",
        "void",
        "fund",
        "close",
        "settle",
        "release",
        "collect",
        "transferLease",
        "transferShares",
        "claim",
        "withdraw",
        "bond",
        "freeze",
        "pause",
        "blocklist",
        "refused"
    ];

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(this);
        targets[0].selectors = new bytes4[](ACTIONS.length);
        for (uint256 i; i < ACTIONS.length; ++i) targets[0].selectors[i] = _selector(ACTIONS[i]);
    }

    function _selector(string memory name) private pure returns (bytes4) {
        return bytes4(keccak256(bytes.concat(bytes(name), "(uint256)")));
    }

    /// forge-config: default.invariant.runs = 12
    /// forge-config: default.invariant.depth = 250
    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: default.invariant.shrink-run-limit = 300
    function invariant_MoneyCapacityAndMembership() public view {
        checkCash();
        checkShares();
        checkLeases();
        checkCapacity();
        checkMembers();
    }

    /// @dev A run that forge has shortened, to find what broke, is not judged.
    function afterInvariant() public {
        if (calls < DEPTH) return;
        for (uint256 i; i < ACTIONS.length; ++i) {
            bytes4 selector = _selector(ACTIONS[i]);
            string memory did = Strings.toString(callsOf[selector] - idleOf[selector]);
            emit log(string.concat(ACTIONS[i], ": ", did, " of ", Strings.toString(callsOf[selector])));
        }
        emit log(string.concat("all: ", Strings.toString(calls - idle), " of ", Strings.toString(calls)));
        require(idle * 2 <= calls, "less than half of the calls succeeded");
        _requireOne("settle");
        _requireOne("claim");
        _requireOne("transferLease");
        _requireOne("transferShares");
        _requireOne("void");
    }

    function _requireOne(string memory name) private view {
        bytes4 selector = _selector(name);
        require(callsOf[selector] > idleOf[selector], string.concat("never in this run: ", name));
    }
}
