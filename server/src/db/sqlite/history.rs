//! The history of calls, on disk.

use sqlx::{Row as _, Sqlite as Driver, Transaction, sqlite::SqliteRow};
use visavis_proto::{
    ids::CallId,
    signal::relay_call::{PersonId, Record},
    wire::control::EndReason,
};

use super::Sqlite;
use crate::db::{Error, KEPT_CALLS, KeptCall, Note, PastCall};

pub(super) async fn note(store: &Sqlite, note: Note) -> Result<(), Error> {
    let mut transaction = store.begin().await?;
    match note {
        Note::Accepted(call) => insert(&mut transaction, call.into()).await?,
        Note::Ended(record) => {
            // That it was accepted may not have been noted, if the store stood still then.
            if record.accepted.is_none() || !complete(&mut transaction, &record).await? {
                insert(&mut transaction, record.into()).await?;
            }
        }
        Note::Running(at_ms) => {
            sqlx::query("UPDATE relay SET running_ms = ?").bind(at_ms as i64).execute(&mut *transaction).await?;
        }
        Note::LastSeen(person, at_ms) => {
            sqlx::query("UPDATE people SET last_seen_ms = ? WHERE id = ?")
                .bind(at_ms as i64)
                .bind(person.0)
                .execute(&mut *transaction)
                .await?;
        }
    }
    Ok(transaction.commit().await?)
}

async fn insert(transaction: &mut Transaction<'_, Driver>, kept: KeptCall) -> Result<(), Error> {
    let (caller, callee) = (kept.caller.0, kept.callee.0);
    let (ended_ms, reason) = kept.end.map_or((0, 0), |(at, reason)| (at.as_millis(), reason as i32));
    sqlx::query(
        "INSERT INTO calls (call, caller, callee, began_ms, accepted_ms, ended_ms, reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&kept.call.0[..])
    .bind(caller)
    .bind(callee)
    .bind(kept.began.as_millis() as i64)
    .bind(kept.accepted.map_or(0, |at| at.as_millis() as i64))
    .bind(ended_ms as i64)
    .bind(reason)
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE min(caller, callee) = ? AND max(caller, callee) = ? \
         ORDER BY began_ms DESC, id DESC LIMIT -1 OFFSET ?)",
    )
    .bind(caller.min(callee))
    .bind(caller.max(callee))
    .bind(KEPT_CALLS as i64)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Writes down how an open call has ended; whether it was open.
async fn complete(transaction: &mut Transaction<'_, Driver>, record: &Record) -> Result<bool, Error> {
    let completed = sqlx::query("UPDATE calls SET ended_ms = ?, reason = ? WHERE call = ? AND ended_ms = 0")
        .bind(record.ended.as_millis() as i64)
        .bind(record.reason as i32)
        .bind(&record.call.0[..])
        .execute(&mut **transaction)
        .await?;
    Ok(completed.rows_affected() > 0)
}

pub(super) async fn close_open(store: &Sqlite) -> Result<u64, Error> {
    let mut transaction = store.begin().await?;
    let closed = sqlx::query(
        "UPDATE calls SET ended_ms = max(accepted_ms, (SELECT max(running_ms) FROM relay)), reason = ? \
         WHERE ended_ms = 0",
    )
    .bind(EndReason::RelayLost as i32)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(closed.rows_affected())
}

pub(super) async fn page(
    store: &Sqlite,
    person: PersonId,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<PastCall>, Error> {
    let before = if before_ms == 0 { i64::MAX } else { i64::try_from(before_ms).unwrap_or(i64::MAX) };
    let rows = sqlx::query(
        "SELECT calls.call, people.name AS peer, calls.caller = ?1 AS outgoing, calls.began_ms, \
         calls.accepted_ms, calls.ended_ms, calls.reason FROM calls \
         JOIN people ON people.id = CASE WHEN calls.caller = ?1 THEN calls.callee ELSE calls.caller END \
         WHERE (calls.caller = ?1 OR calls.callee = ?1) AND calls.began_ms < ?2 AND calls.ended_ms <> 0 \
         ORDER BY calls.began_ms DESC, calls.id DESC LIMIT ?3",
    )
    .bind(person.0)
    .bind(before)
    .bind(limit as i64)
    .fetch_all(&store.pool)
    .await?;
    rows.iter().map(past_call).collect()
}

fn past_call(row: &SqliteRow) -> Result<PastCall, Error> {
    let reason = EndReason::try_from(row.try_get::<i32, _>("reason")?).unwrap_or(EndReason::Unspecified);
    Ok(PastCall {
        call: CallId::try_from(row.try_get::<&[u8], _>("call")?).map_err(|_| Error::Damaged("call id"))?,
        peer: row.try_get("peer")?,
        outgoing: row.try_get("outgoing")?,
        began_ms: row.try_get::<i64, _>("began_ms")? as u64,
        accepted_ms: row.try_get::<i64, _>("accepted_ms")? as u64,
        ended_ms: row.try_get::<i64, _>("ended_ms")? as u64,
        reason,
    })
}

pub(super) async fn seen(store: &Sqlite, person: PersonId, now_ms: u64) -> Result<(), Error> {
    let mut transaction = store.begin().await?;
    sqlx::query("UPDATE people SET history_seen_ms = ? WHERE id = ?")
        .bind(now_ms as i64)
        .bind(person.0)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn missed(store: &Sqlite, person: PersonId) -> Result<u32, Error> {
    let missed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM calls JOIN people ON people.id = calls.callee WHERE calls.callee = ? \
         AND calls.accepted_ms = 0 AND calls.reason <> ? AND calls.ended_ms >= people.history_seen_ms",
    )
    .bind(person.0)
    .bind(EndReason::Declined as i32)
    .fetch_one(&store.pool)
    .await?;
    Ok(u32::try_from(missed).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{SqlitePool, migrate::Migrator, sqlite::SqliteConnectOptions};

    #[tokio::test]
    async fn a_file_from_before_open_calls_were_kept_is_brought_up_to_date_and_loses_nothing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("relay.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.expect("made");
        let first = sqlx::migrate!("src/db/migrations").iter().take(1).cloned().collect();
        Migrator::with_migrations(first).run(&pool).await.expect("as it was");
        for statement in [
            "INSERT INTO people VALUES (1, 'Ann', 'ann', x'01', x'', x'', x'', x'', 1, 0, 0, 0, 0)",
            "INSERT INTO people VALUES (2, 'Bo', 'bo', x'02', x'', x'', x'', x'', 1, 0, 0, 0, 0)",
            "INSERT INTO calls VALUES (1, x'000102030405060708090a0b0c0d0e0f', 1, 2, 1000, 2000, 3000, 1)",
        ] {
            sqlx::query(statement).execute(&pool).await.expect("written");
        }
        pool.close().await;

        let store = Sqlite::open(&file).await.expect("brought up to date");
        assert_eq!(close_open(&store).await.expect("written"), 0);
        let calls = page(&store, PersonId(2), 0, 10).await.expect("read");
        let [call] = &calls[..] else { panic!("one call: {calls:?}") };
        assert_eq!((call.peer.as_str(), call.accepted_ms, call.ended_ms), ("Ann", 2_000, 3_000));
        assert_eq!(call.reason, EndReason::HungUp);
    }
}
