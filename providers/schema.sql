-- Every raw call, whatever became of it. `key` is the payment's key, or the mail's Message-ID.
CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'void', 'mail')),
    key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS calls_key ON calls (key);

CREATE TABLE IF NOT EXISTS charges (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    reference TEXT NOT NULL,
    at INTEGER NOT NULL,
    refunded_at INTEGER
);
CREATE INDEX IF NOT EXISTS charges_key ON charges (key);

CREATE TABLE IF NOT EXISTS voids (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    refunded INTEGER NOT NULL
) WITHOUT ROWID;

-- One row a Message-ID, however often it was delivered.
CREATE TABLE IF NOT EXISTS mails (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    size INTEGER NOT NULL,
    deliveries INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS mail_recipients (
    address TEXT NOT NULL,
    mail INTEGER NOT NULL,
    PRIMARY KEY (address, mail)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mail_contents (mail INTEGER PRIMARY KEY, raw BLOB NOT NULL);

CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- The log is evidence: it is only ever added to, and only what is two days old may go.
CREATE TRIGGER IF NOT EXISTS calls_stay_as_they_are BEFORE UPDATE ON calls
BEGIN SELECT RAISE(ABORT, 'calls are append-only'); END;
CREATE TRIGGER IF NOT EXISTS young_calls_stay BEFORE DELETE ON calls
WHEN OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 172800) * 1000
BEGIN SELECT RAISE(ABORT, 'calls are append-only'); END;
