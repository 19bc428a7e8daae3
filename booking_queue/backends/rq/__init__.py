"""How RQ does it: its own records, written by Lua beside the ledger's. `rq_queue` is the way in."""
