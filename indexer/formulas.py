"""The contracts' arithmetic as exact integers: the only arithmetic of fold and backend. Rows are those of
`indexer.fold.tables`; `t` is a block's time in unix seconds; amounts are base units of the settlement token."""

from __future__ import annotations
