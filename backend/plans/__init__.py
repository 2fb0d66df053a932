"""Plans: what to sign and send for an action, simulated at the head, bound by a MAC and kept by nobody."""
