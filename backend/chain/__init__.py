"""The node and the contracts' ABIs: calls, simulation, encoding and decoding. No database here."""
