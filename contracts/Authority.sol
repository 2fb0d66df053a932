// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title The one authority that every contract's roles come from
/// @notice OpenZeppelin's AccessManager as it is. It has a name of its own because Brownie deploys only contracts
/// that the project itself defines; its ABI is exported as `AccessManager`.
contract Authority is AccessManager {
    constructor(address initialAdmin) AccessManager(initialAdmin) {}
}
