// SPDX-License-Identifier: MIT
pragma solidity 0.8.34;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev OpenZeppelin's ERC-20 and nothing else: what the gas of our own operations is held against.
contract PlainToken is ERC20("Plain", "PLAIN") {
    constructor() {
        _mint(msg.sender, 1e24);
    }
}
