//! The store on disk: one SQLite file in the relay's data folder.
//!
//! Its commands run while `serve` does: readers never wait (WAL), and writers take the lock when they begin, because
//! a transaction that starts with a read and then writes would fail at once, whatever the busy timeout.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection as _, Row as _, Sqlite as Driver, SqliteConnection, SqlitePool, Transaction,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use visavis_proto::{
    ids::{AccountKey, DeviceKey},
    signal::relay_call::PersonId,
};

use super::{
    Admission, Answer, Credentials, DeviceList, Error, Invite, Note, PastCall, Person, Registered, Registration,
    Store, TokenHash, fold,
};

mod history;

/// How long a writer waits for another. Commands of an operator hold the lock for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite has one writer; more connections only help readers, of which the relay has few.
const CONNECTIONS: u32 = 4;

/// A pool of connections to the file.
#[derive(Debug)]
pub struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens or makes the file, and brings it up to date.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is no database, or is from a later version.
    pub async fn open(file: &Path) -> Result<Self, Error> {
        // Switching to WAL takes a lock, so the timeout must be set before: sqlx sets it as it opens the file, and
        // pragmas only afterwards.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .after_release(|connection, _| Box::pin(is_at_rest(connection)));
        let pool = pool.connect_with(options).await?;
        sqlx::migrate!("src/db/migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    async fn begin(&self) -> Result<Transaction<'_, Driver>, Error> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn register_now(&self, new: Registration) -> Result<Registered, Error> {
        let mut transaction = self.begin().await?;
        let replaces = match check(&mut transaction, &new.name, new.invite, new.now_ms).await? {
            Ok(replaces) => replaces,
            Err(Admission::NameTaken) => return Ok(Registered::NameTaken),
            Err(_) => return Ok(Registered::InviteInvalid),
        };
        let id = match replaces {
            Some(PersonId(id)) => {
                let update = sqlx::query(
                    "UPDATE people SET account_key = ?, sealed_key = ?, password_record = ?, device_list = ?, \
                     list_signature = ?, list_version = ? WHERE id = ?",
                );
                bind_account(update, &new).bind(id).execute(&mut *transaction).await?;
                id
            }
            None => {
                let insert = sqlx::query(
                    "INSERT INTO people (account_key, sealed_key, password_record, device_list, list_signature, \
                     list_version, name, folded_name, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                );
                let insert = bind_account(insert, &new).bind(&new.name).bind(fold(&new.name));
                insert.bind(new.now_ms as i64).execute(&mut *transaction).await?.last_insert_rowid()
            }
        };
        if !replace_devices(&mut transaction, id, &new.list.devices).await? {
            return Ok(Registered::DeviceTaken);
        }
        if let Some(hash) = new.invite {
            sqlx::query("UPDATE invites SET used_ms = ? WHERE token_hash = ?")
                .bind(new.now_ms as i64)
                .bind(&hash[..])
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Registered::Done(PersonId(id)))
    }
}

/// Whether a connection may serve again. SQLite rolls back by itself what finds no room on the disk; the rollback that
/// follows then fails, and sqlx takes the connection for one inside a transaction for ever.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback may still be queued: the answer comes behind it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

type Query<'q> = sqlx::query::Query<'q, Driver, SqliteArguments>;

/// What a registration brings, new or again: account_key, sealed_key, password_record, device_list, list_signature,
/// list_version.
fn bind_account<'q>(query: Query<'q>, new: &'q Registration) -> Query<'q> {
    let query = query.bind(&new.account_key.0[..]).bind(&new.sealed_key).bind(&new.record);
    query.bind(&new.list.list).bind(&new.list.signature).bind(new.list.version as i64)
}

/// The person whose password an invite replaces, if it does; or why it is no good.
async fn check(
    transaction: &mut Transaction<'_, Driver>,
    name: &str,
    invite: Option<TokenHash>,
    now_ms: u64,
) -> Result<Result<Option<PersonId>, Admission>, Error> {
    let holder: Option<i64> = sqlx::query_scalar("SELECT id FROM people WHERE folded_name = ?")
        .bind(fold(name))
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(hash) = invite else {
        return Ok(holder.map_or(Ok(None), |_| Err(Admission::NameTaken)));
    };
    let found: Option<(Option<String>, Option<i64>)> = sqlx::query_as(
        "SELECT name, person FROM invites WHERE token_hash = ? AND used_ms IS NULL AND expires_ms > ?",
    )
    .bind(&hash[..])
    .bind(now_ms as i64)
    .fetch_optional(&mut **transaction)
    .await?;
    let Some((bound, person)) = found else { return Ok(Err(Admission::InviteInvalid)) };
    if bound.is_some_and(|bound| fold(&bound) != fold(name)) {
        return Ok(Err(Admission::InviteInvalid));
    }
    Ok(match (holder, person) {
        (Some(holder), Some(person)) if holder == person => Ok(Some(PersonId(person))),
        (_, Some(_)) => Err(Admission::InviteInvalid),
        (Some(_), None) => Err(Admission::NameTaken),
        (None, None) => Ok(None),
    })
}

/// Whether none of them belongs to somebody else.
async fn replace_devices(
    transaction: &mut Transaction<'_, Driver>,
    person: i64,
    devices: &[DeviceKey],
) -> Result<bool, Error> {
    sqlx::query("DELETE FROM devices WHERE person = ?").bind(person).execute(&mut **transaction).await?;
    for device in devices {
        let inserted = sqlx::query("INSERT INTO devices (key, person) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&device.0[..])
            .bind(person)
            .execute(&mut **transaction)
            .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn keys_of(pool: &SqlitePool, person: PersonId) -> Result<Vec<DeviceKey>, Error> {
    let keys: Vec<Vec<u8>> = sqlx::query_scalar("SELECT key FROM devices WHERE person = ? ORDER BY key")
        .bind(person.0)
        .fetch_all(pool)
        .await?;
    keys.iter().map(|key| device_key(key)).collect()
}

fn device_key(bytes: &[u8]) -> Result<DeviceKey, Error> {
    DeviceKey::try_from(bytes).map_err(|_| Error::Damaged("device key"))
}

fn account_key(bytes: &[u8]) -> Result<AccountKey, Error> {
    AccountKey::try_from(bytes).map_err(|_| Error::Damaged("account key"))
}

fn person(row: &SqliteRow) -> Result<Person, Error> {
    Ok(Person {
        id: PersonId(row.try_get("id")?),
        name: row.try_get("name")?,
        account_key: account_key(row.try_get("account_key")?)?,
        disabled: row.try_get("disabled")?,
        last_seen_ms: row.try_get::<i64, _>("last_seen_ms")? as u64,
        devices: Vec::new(),
    })
}

impl Store for Sqlite {
    fn secrets(&self, fresh: Vec<u8>) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            sqlx::query("INSERT INTO relay (id, opaque_setup) VALUES (1, ?) ON CONFLICT DO NOTHING")
                .bind(fresh)
                .execute(&mut *transaction)
                .await?;
            let kept = sqlx::query_scalar("SELECT opaque_setup FROM relay WHERE id = 1")
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(kept)
        })
    }

    fn people(&self) -> Answer<'_, Vec<Person>> {
        Box::pin(async move {
            let rows = sqlx::query("SELECT id, name, account_key, disabled, last_seen_ms FROM people ORDER BY id")
                .fetch_all(&self.pool)
                .await?;
            let mut people = rows.iter().map(person).collect::<Result<Vec<_>, _>>()?;
            let devices: Vec<(Vec<u8>, i64)> =
                sqlx::query_as("SELECT key, person FROM devices ORDER BY person, key").fetch_all(&self.pool).await?;
            for (key, owner) in devices {
                if let Ok(place) = people.binary_search_by_key(&PersonId(owner), |person| person.id) {
                    people[place].devices.push(device_key(&key)?);
                }
            }
            Ok(people)
        })
    }

    fn revision(&self) -> Answer<'_, i64> {
        Box::pin(async move { Ok(sqlx::query_scalar("SELECT people FROM revision").fetch_one(&self.pool).await?) })
    }

    fn credentials(&self, folded_name: &str) -> Answer<'_, Option<Credentials>> {
        let folded_name = folded_name.to_owned();
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT id, disabled, password_record, sealed_key, account_key, device_list, list_signature, \
                 list_version FROM people WHERE folded_name = ?",
            )
            .bind(folded_name)
            .fetch_optional(&self.pool)
            .await?;
            let person = PersonId(row.as_ref().map_or(Ok(0), |row| row.try_get("id"))?);
            // Asked for in any case, although nobody has the number 0: how long the answer takes must not tell which
            // names there are.
            let devices = keys_of(&self.pool, person).await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(Credentials {
                person,
                disabled: row.try_get("disabled")?,
                record: row.try_get("password_record")?,
                sealed_key: row.try_get("sealed_key")?,
                account_key: account_key(row.try_get("account_key")?)?,
                list: DeviceList {
                    version: row.try_get::<i64, _>("list_version")? as u64,
                    list: row.try_get("device_list")?,
                    signature: row.try_get("list_signature")?,
                    devices,
                },
            }))
        })
    }

    fn admission(&self, name: &str, invite: Option<TokenHash>, now_ms: u64) -> Answer<'_, Admission> {
        let name = name.to_owned();
        Box::pin(async move {
            let mut transaction = self.pool.begin().await?;
            let checked = check(&mut transaction, &name, invite, now_ms).await?;
            Ok(checked.map_or_else(|refusal| refusal, |_| Admission::Welcome))
        })
    }

    fn register(&self, registration: Registration) -> Answer<'_, Registered> {
        Box::pin(self.register_now(registration))
    }

    fn devices(&self, person: PersonId) -> Answer<'_, Option<DeviceList>> {
        Box::pin(async move {
            let found: Option<(i64, Vec<u8>, Vec<u8>)> =
                sqlx::query_as("SELECT list_version, device_list, list_signature FROM people WHERE id = ?")
                    .bind(person.0)
                    .fetch_optional(&self.pool)
                    .await?;
            let Some((version, list, signature)) = found else { return Ok(None) };
            let devices = keys_of(&self.pool, person).await?;
            Ok(Some(DeviceList { version: version as u64, list, signature, devices }))
        })
    }

    fn set_devices(&self, person: PersonId, account: AccountKey, list: DeviceList) -> Answer<'_, bool> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let updated = sqlx::query(
                "UPDATE people SET device_list = ?, list_signature = ?, list_version = ? \
                 WHERE id = ? AND account_key = ? AND list_version + 1 = ?",
            )
            .bind(&list.list)
            .bind(&list.signature)
            .bind(list.version as i64)
            .bind(person.0)
            .bind(&account.0[..])
            .bind(list.version as i64)
            .execute(&mut *transaction)
            .await?;
            let fits =
                updated.rows_affected() == 1 && replace_devices(&mut transaction, person.0, &list.devices).await?;
            if fits {
                transaction.commit().await?;
            }
            Ok(fits)
        })
    }

    fn note(&self, note: Note) -> Answer<'_, ()> {
        Box::pin(history::note(self, note))
    }

    fn close_open_calls(&self) -> Answer<'_, u64> {
        Box::pin(history::close_open(self))
    }

    fn history(&self, person: PersonId, before_ms: u64, limit: usize) -> Answer<'_, Vec<PastCall>> {
        Box::pin(history::page(self, person, before_ms, limit))
    }

    fn history_seen(&self, person: PersonId, now_ms: u64) -> Answer<'_, ()> {
        Box::pin(history::seen(self, person, now_ms))
    }

    fn missed(&self, person: PersonId) -> Answer<'_, u32> {
        Box::pin(history::missed(self, person))
    }

    fn add_invite(&self, invite: Invite) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            sqlx::query("INSERT INTO invites (token_hash, name, person, expires_ms) VALUES (?, ?, ?, ?)")
                .bind(&invite.token_hash[..])
                .bind(invite.name)
                .bind(invite.person.map(|person| person.0))
                .bind(invite.expires_ms as i64)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
    }

    fn set_disabled(&self, folded_name: &str, disabled: bool) -> Answer<'_, bool> {
        let folded_name = folded_name.to_owned();
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let changed = sqlx::query("UPDATE people SET disabled = ? WHERE folded_name = ?")
                .bind(disabled)
                .bind(folded_name)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(changed.rows_affected() == 1)
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.pool.close().await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_proto::{ids::CallId, signal::relay_call::Accepted, time::Timestamp};

    fn call(number: u16) -> Note {
        let [high, low] = number.to_be_bytes();
        let mut id = [high; 16];
        id[0] = low;
        let (began, accepted) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        Note::Accepted(Accepted { call: CallId(id), caller: PersonId(1), callee: PersonId(2), began, accepted })
    }

    /// Lets the file have this many pages, as far as every connection of the pool is concerned.
    async fn limit(store: &Sqlite, pages: u32) {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(store.pool.acquire().await.expect("a connection"));
        }
        for mut connection in connections {
            let pragma = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(pragma).execute(&mut *connection).await.expect("limited");
        }
    }

    #[tokio::test]
    async fn a_disk_that_was_full_does_no_harm_once_there_is_room() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Sqlite::open(&folder.path().join("relay.db")).await.expect("opened");
        for statement in [
            "INSERT INTO people VALUES (1, 'Ann', 'ann', x'01', x'', x'', x'', x'', 1, 0, 0, 0, 0)",
            "INSERT INTO people VALUES (2, 'Bo', 'bo', x'02', x'', x'', x'', x'', 1, 0, 0, 0, 0)",
        ] {
            sqlx::query(statement).execute(&store.pool).await.expect("written");
        }
        limit(&store, 1).await;
        let mut number = 0;
        let error = loop {
            match store.note(call(number)).await {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 1_000, "there is always room");
        };
        assert!(matches!(error, Error::Full), "{error:?}");
        limit(&store, u32::MAX - 1).await;
        for again in 0..2 * CONNECTIONS as u16 {
            store.note(call(number + again)).await.expect("there is room again");
            store.history_seen(PersonId(1), 1).await.expect("there is room again");
        }
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM calls").fetch_one(&store.pool).await.expect("read");
        assert_eq!(kept, i64::from(number) + 2 * i64::from(CONNECTIONS), "what failed was not half done");
    }
}
