"""The database schema as numbered steps; step n brings `PRAGMA user_version` from n - 1 to n.

Add a step here: append one string, never change an earlier one. Steps only add (tables, columns with a default,
indexes), so that what older rows say stays readable; where SQLite can only change a table by making it anew (a column
that may now be null), all rows are taken over. An older Orchestra refuses a newer schema.

Times are microseconds since 1970 (UTC), money is whole micro-dollars. Wide JSON columns stand last in their table, so
that listing rows does not have to read through them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

MIGRATIONS: tuple[str, ...] = (
    # 1: consultations, what was said in them, what it cost, who may see what.
    """
    CREATE TABLE consultations (
        id          TEXT PRIMARY KEY,
        thread      TEXT NOT NULL,
        project     TEXT NOT NULL,
        strategy    TEXT NOT NULL,
        mode        TEXT NOT NULL,
        status      TEXT NOT NULL,
        started     INTEGER NOT NULL,
        ended       INTEGER,
        owner       TEXT NOT NULL,
        confidence  REAL,
        failure     TEXT NOT NULL DEFAULT '',
        text        TEXT NOT NULL,
        question    TEXT NOT NULL,
        verdict     TEXT
    );
    CREATE INDEX consultations_by_start ON consultations (started);
    CREATE INDEX consultations_by_project ON consultations (project, started);
    CREATE INDEX consultations_by_thread ON consultations (thread, started);

    CREATE TABLE entries (
        consultation  TEXT NOT NULL REFERENCES consultations (id),
        seq           INTEGER NOT NULL,
        kind          TEXT NOT NULL,
        seat          TEXT NOT NULL,
        at            INTEGER NOT NULL,
        body          TEXT NOT NULL,
        UNIQUE (consultation, seq)
    );

    CREATE TABLE calls (
        id                  INTEGER PRIMARY KEY,
        consultation        TEXT NOT NULL REFERENCES consultations (id),
        at                  INTEGER NOT NULL,
        provider            TEXT NOT NULL,
        model               TEXT NOT NULL,
        purpose             TEXT NOT NULL,
        attempt             INTEGER NOT NULL,
        error               TEXT NOT NULL,
        seconds             REAL,
        first_token_s       REAL,
        calls               INTEGER NOT NULL,
        input_tokens        INTEGER NOT NULL,
        cache_read_tokens   INTEGER NOT NULL,
        cache_write_tokens  INTEGER NOT NULL,
        output_tokens       INTEGER NOT NULL,
        reasoning_tokens    INTEGER NOT NULL,
        cost_micro_usd      INTEGER NOT NULL,
        unpriced            INTEGER NOT NULL
    );
    CREATE INDEX calls_by_time ON calls (at, cost_micro_usd);
    CREATE INDEX calls_by_consultation ON calls (consultation, cost_micro_usd);

    CREATE TABLE consents (
        project   TEXT NOT NULL,
        provider  TEXT NOT NULL,
        at        INTEGER NOT NULL,
        PRIMARY KEY (project, provider)
    );
    """,
    # 2: what became of the solutions; the label holds the facts that do not change with the outcome.
    """
    CREATE TABLE outcomes (
        consultation  TEXT NOT NULL REFERENCES consultations (id),
        at            INTEGER NOT NULL,
        source        TEXT NOT NULL,
        solution      INTEGER NOT NULL,
        outcome       TEXT NOT NULL,
        label         TEXT NOT NULL,
        PRIMARY KEY (consultation, source, solution)
    );
    CREATE INDEX outcomes_by_time ON outcomes (at);
    CREATE INDEX entries_of_ballots ON entries (consultation, seq) WHERE kind = 'ballot';
    """,
    # 3: all calls in one table, also those of no consultation, and who made them; what budgets hold; who may come in.
    """
    CREATE TABLE all_calls (
        id                  INTEGER PRIMARY KEY,
        consultation        TEXT REFERENCES consultations (id),
        at                  INTEGER NOT NULL,
        provider            TEXT NOT NULL,
        model               TEXT NOT NULL,
        model_id            TEXT NOT NULL DEFAULT '',
        key                 TEXT NOT NULL DEFAULT '',
        workspace           TEXT NOT NULL DEFAULT '',
        tier                TEXT NOT NULL DEFAULT '',
        route               TEXT NOT NULL DEFAULT '',
        use_case            TEXT NOT NULL DEFAULT '',
        cache               TEXT NOT NULL DEFAULT '',
        purpose             TEXT NOT NULL,
        attempt             INTEGER NOT NULL,
        error               TEXT NOT NULL,
        seconds             REAL,
        first_token_s       REAL,
        calls               INTEGER NOT NULL,
        input_tokens        INTEGER NOT NULL,
        cache_read_tokens   INTEGER NOT NULL,
        cache_write_tokens  INTEGER NOT NULL,
        output_tokens       INTEGER NOT NULL,
        reasoning_tokens    INTEGER NOT NULL,
        cost_micro_usd      INTEGER NOT NULL,
        unpriced            INTEGER NOT NULL
    );
    INSERT INTO all_calls (
        id, consultation, at, provider, model, purpose, attempt, error, seconds, first_token_s, calls, input_tokens,
        cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_micro_usd, unpriced
    ) SELECT
        id, consultation, at, provider, model, purpose, attempt, error, seconds, first_token_s, calls, input_tokens,
        cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_micro_usd, unpriced
    FROM calls;
    DROP TABLE calls;
    ALTER TABLE all_calls RENAME TO calls;
    CREATE INDEX calls_by_time ON calls (at, cost_micro_usd);
    CREATE INDEX calls_by_consultation ON calls (consultation, cost_micro_usd) WHERE consultation IS NOT NULL;

    CREATE TABLE purses (
        id      INTEGER PRIMARY KEY,
        scope   TEXT NOT NULL,
        name    TEXT NOT NULL,
        window  TEXT NOT NULL,
        start   INTEGER NOT NULL,
        spent   INTEGER NOT NULL,
        held    INTEGER NOT NULL,
        UNIQUE (scope, name, window, start)
    );
    CREATE INDEX purses_by_start ON purses (start);

    CREATE TABLE holds (
        id       INTEGER PRIMARY KEY,
        owner    TEXT NOT NULL,
        expires  INTEGER NOT NULL,
        amount   INTEGER NOT NULL,
        least    INTEGER NOT NULL,
        purses   TEXT NOT NULL
    );
    CREATE INDEX holds_by_expiry ON holds (expires);

    CREATE TABLE workspaces (
        id       TEXT PRIMARY KEY,
        name     TEXT NOT NULL,
        created  INTEGER NOT NULL,
        roots    TEXT NOT NULL DEFAULT '[]',
        budgets  TEXT NOT NULL DEFAULT '[]'
    );

    CREATE TABLE members (
        workspace  TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        name       TEXT NOT NULL,
        role       TEXT NOT NULL,
        created    INTEGER NOT NULL,
        PRIMARY KEY (workspace, name)
    );

    CREATE TABLE virtual_keys (
        id         TEXT PRIMARY KEY,
        workspace  TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
        name       TEXT NOT NULL,
        member     TEXT NOT NULL DEFAULT '',
        role       TEXT NOT NULL,
        hash       BLOB NOT NULL,
        created    INTEGER NOT NULL,
        expires    INTEGER,
        last_used  INTEGER,
        revoked    INTEGER,
        terms      TEXT NOT NULL
    );
    CREATE UNIQUE INDEX virtual_keys_by_name ON virtual_keys (workspace, name) WHERE revoked IS NULL;

    CREATE TABLE consultation_owners (
        consultation  TEXT PRIMARY KEY,
        workspace     TEXT NOT NULL,
        key           TEXT NOT NULL,
        at            INTEGER NOT NULL
    );
    CREATE INDEX consultation_owners_by_workspace ON consultation_owners (workspace, at);
    """,
    # 4: what is remembered of consultations, word for word and by meaning; whom we asked how it went; alerts.
    # Consultations of before are remembered later, in small steps (`memoryrows.fill`): all at once would take seconds
    # in which no other process could write. Their memories have ids up to what stands in `turns`, newer ones begin
    # after it, so that a higher id is always a newer consultation.
    # A memory without an answer is of a consultation that has not ended (one that ended without has a space there). Its
    # words are not in the index yet, since each change of that writes eight pages: `memoryrows.going_on` looks at them.
    """
    CREATE TABLE memories (
        id            INTEGER PRIMARY KEY,
        consultation  TEXT NOT NULL UNIQUE REFERENCES consultations (id),
        project       TEXT NOT NULL,
        at            INTEGER NOT NULL,
        scope         TEXT NOT NULL,
        question      TEXT NOT NULL,
        answer        TEXT NOT NULL,
        names         TEXT NOT NULL
    );
    CREATE INDEX memories_without_end ON memories (id) WHERE answer = '';
    CREATE VIEW ended_memories AS SELECT id, question, answer, names, scope FROM memories WHERE answer <> '';
    CREATE VIRTUAL TABLE memory_words USING fts5 (
        question, answer, names, scope,
        content = 'ended_memories', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2',
        prefix = '2 3'
    );
    CREATE TRIGGER memories_ended AFTER UPDATE OF answer ON memories WHEN old.answer = '' AND new.answer <> '' BEGIN
        INSERT INTO memory_words (rowid, question, answer, names, scope)
        VALUES (new.id, new.question, new.answer, new.names, new.scope);
    END;
    CREATE TRIGGER memories_gone AFTER DELETE ON memories WHEN old.answer <> '' BEGIN
        INSERT INTO memory_words (memory_words, rowid, question, answer, names, scope)
        VALUES ('delete', old.id, old.question, old.answer, old.names, old.scope);
    END;
    CREATE TRIGGER memories_changed AFTER UPDATE OF question, answer, names, scope ON memories WHEN old.answer <> '' BEGIN
        INSERT INTO memory_words (memory_words, rowid, question, answer, names, scope)
        VALUES ('delete', old.id, old.question, old.answer, old.names, old.scope);
        INSERT INTO memory_words (rowid, question, answer, names, scope)
        VALUES (new.id, new.question, new.answer, new.names, new.scope);
    END;
    CREATE TRIGGER memories_owned AFTER INSERT ON consultation_owners BEGIN
        UPDATE memories SET scope = scope || ' w' || lower(hex(new.workspace)) || 'z9'
        WHERE consultation = new.consultation;
    END;

    CREATE TABLE memory_vectors (
        seq       INTEGER PRIMARY KEY AUTOINCREMENT,
        memory    INTEGER NOT NULL REFERENCES memories (id),
        embedder  TEXT NOT NULL,
        vector    BLOB NOT NULL,
        UNIQUE (memory, embedder)
    );

    CREATE TABLE follow_ups (
        consultation  TEXT PRIMARY KEY REFERENCES consultations (id),
        at            INTEGER NOT NULL
    );

    CREATE TABLE alerts (
        id       INTEGER PRIMARY KEY,
        rule     TEXT NOT NULL,
        kind     TEXT NOT NULL,
        subject  TEXT NOT NULL,
        message  TEXT NOT NULL,
        value    REAL NOT NULL,
        bound    REAL NOT NULL,
        since    INTEGER NOT NULL,
        over     INTEGER
    );
    CREATE UNIQUE INDEX alerts_that_last ON alerts (rule, subject) WHERE over IS NULL;
    CREATE TABLE turns (
        name  TEXT PRIMARY KEY,
        at    INTEGER NOT NULL
    );
    INSERT INTO turns (name, at) SELECT 'memories to fill', coalesce(max(rowid), 0) FROM consultations;
    """,
    # 5: which questions were asked aloud.
    """
    ALTER TABLE consultations ADD COLUMN spoken INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX consultations_spoken ON consultations (started) WHERE spoken;
    """,
)

LATEST = len(MIGRATIONS)


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one (`executescript` would commit the transaction that we are in)."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
