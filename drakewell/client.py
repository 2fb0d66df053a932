"""The client: plan, check, sign, submit, track.

    client = Client("http://127.0.0.1:8000", account, "deployments/31337.json")
    listing = client.listings(gpu_model="H800", available_gpus_gte=8, sort="price")[0]
    lease = client.open_lease(listing["listing_id"], gpus=8, term=24 * 3600).wait()["resource"]["id"]

Amounts are ints of base units, spans are seconds, addresses are strings. The key never leaves this process: the API
plans, this library encodes the call again from the bundled ABI, compares, and only then signs. Every method that writes
returns a `Sent`; its `wait()` returns the transaction once a block has it, and from then on the client's reads see
that block. Reads return the API's rows as dicts with every amount an int.
"""

from drakewell.reads import Reads
from drakewell.writes import Writes


class Client(Reads, Writes):
    """One account at one API."""
