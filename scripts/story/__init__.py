"""The demo's story: who acts, when, and the tables at its end; it knows an API, a node's clock and a faucet."""
