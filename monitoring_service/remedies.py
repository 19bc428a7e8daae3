"""What to do about each alarm, in one sentence."""

REMEDIES = {
    "source_stale": "See whether it runs (`make ps`) and what it says (`make logs S=` and its name); "
    "what is shown of it is the last that is known.",
    "no_worker": "Start one: `make scale N=2`.",
    "worker_lost": "Nothing, if it was stopped on purpose; else its log tells why it ended.",
    "worker_silent": "See its log; if it hangs, end it: its jobs run again elsewhere within 20 s.",
    "ledger_emptied": "Jobs that were accepted before are lost: restore Redis from its backup, or send them again; "
    "see who may run FLUSHALL there, and that its data is on a volume.",
    "outbox_late": "Start that backend's service or broker; the job is sent by itself once it answers.",
    "redis_refuses_writes": "Give its disk room, raise maxmemory, start its replica; it takes writes again by itself, "
    "and what was answered 503 can be sent again.",
    "redis_refused": "Nothing, if it takes writes again; else see the alarm redis_refuses_writes, and Redis' own log.",
    "redis_memory": "Start more workers, or raise maxmemory; new work is refused when it is full, nothing is lost.",
    "redis_evicts": "CONFIG SET maxmemory-policy noeviction, and set it where Redis is configured.",
    "redis_forgets": "CONFIG SET appendonly yes, and set it where Redis is configured.",
    "stream_entries_deleted": "Their jobs are sent again by themselves; find who runs XDEL or XTRIM on the streams.",
    "stream_group_destroyed": "Nothing is lost: what was done is not done again; find who ran XGROUP DESTROY or DEL.",
    "broker_lost_jobs": "They are sent again by themselves; find who deletes there (on streams: MAXLEN, XTRIM, XDEL), "
    "and see that the data is on a volume.",
    "job_kills_workers": "Look at them in the dead letters, mend the handler, then redrive them.",
    "consumer_stood_still": "Nothing, if it happened once; else see that worker's log and the load of its machine.",
    "lane_stands_still": "See whether a limit holds it up (`GET /api/limits`); else restart its workers one by one.",
}
