-- v1.sqlite3 is this, word for word: sqlite3 v1.sqlite3 < v1.sql. Neither ever changes.
PRAGMA journal_mode = WAL;
CREATE TABLE rows (
            id INTEGER PRIMARY KEY,
            uid TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            wall REAL NOT NULL,
            boot_id TEXT NOT NULL,
            state TEXT NOT NULL,
            facts TEXT NOT NULL,
            UNIQUE (run_id, seq)
        );
INSERT INTO rows (uid, run_id, seq, wall, boot_id, state, facts) VALUES
    ('00000000000000a1', '20261122-114501-417b', 1, 1795347901.417, 'boot-1', 'planned', '{"name": "finetune"}'),
    ('00000000000000a2', '20261122-114501-417b', 2, 1795347901.5, 'boot-1', 'started', '{"pid": 4711}'),
    ('00000000000000a3', '20261122-114501-417b', 3, 1795351501.25, 'boot-1', 'ended', '{"outcome": "succeeded", "exit_code": 0}'),
    ('00000000000000a4', '20261122-114501-417b', 4, 1795351502.0, 'boot-1', 'saving', '{}'),
    ('00000000000000a5', '20261122-114501-417b', 5, 1795351620.0, 'boot-1', 'requested', '{"nonce": "f00d"}'),
    ('00000000000000a6', '20261122-114501-417b', 6, 1795351620.3, 'boot-1', 'accepted', '{}'),
    ('00000000000000a7', '20261122-130000-002c', 1, 1795352400.002, 'boot-1', 'planned', '{"name": "訓練"}'),
    ('00000000000000a8', '20261122-130000-002c', 2, 1795352400.1, 'boot-1', 'started', '{"pid": 5000}'),
    ('00000000000000a9', '20261122-130000-002c', 3, 1795352401.0, 'boot-1', 'ended', '{"outcome": "failed", "exit_code": 3}'),
    ('00000000000000aa', '20261122-130000-002c', 4, 1795352401.5, 'boot-1', 'done', '{}');
PRAGMA user_version = 1;
