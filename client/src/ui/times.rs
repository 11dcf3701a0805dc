//! Points in time as people say them. Pure: the present and the zone are arguments.

use crate::app::people::duration;

const DAY_MS: i64 = 86_400_000;

/// "today 14:05", "yesterday 09:12", "Tue 14:05", "3 Nov"; "5 min ago" where the zone is not known.
///
/// `zone_s` is the zone's distance from UTC, eastward in seconds. Whoever changed between summer and winter time since
/// sees no wrong hour: beyond the last week only the day is told.
pub fn said(at_ms: u64, now_ms: u64, zone_s: Option<i32>) -> String {
    let Some(zone_s) = zone_s else {
        let seconds = now_ms.saturating_sub(at_ms) / 1_000;
        return if seconds < 60 { "just now".to_owned() } else { format!("{} ago", duration(seconds)) };
    };
    let local = |unix_ms: u64| i64::try_from(unix_ms).unwrap_or(i64::MAX / 2) + i64::from(zone_s) * 1_000;
    let (at, now) = (local(at_ms), local(now_ms));
    let (day, today) = (at.div_euclid(DAY_MS), now.div_euclid(DAY_MS));
    let minutes = at.rem_euclid(DAY_MS) / 60_000;
    let clock = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    match today - day {
        i64::MIN..=0 => format!("today {clock}"),
        1 => format!("yesterday {clock}"),
        // 1 January 1970 was a Thursday.
        2..=6 => format!("{} {clock}", DAYS[usize::try_from((day + 4).rem_euclid(7)).unwrap_or_default()]),
        _ => {
            let (year, month, date) = civil(day);
            let month = MONTHS[usize::try_from(month - 1).unwrap_or_default() % 12];
            if year == civil(today).0 { format!("{date} {month}") } else { format!("{date} {month} {year}") }
        }
    }
}

/// "4:07", "1:02:09".
pub fn timer(seconds: u64) -> String {
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month and day of a day counted from 1 January 1970, in the Gregorian calendar: eras of 400 years that begin on
/// 1 March, so that the leap day is the last of its year.
const fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday, 3 March 2026, 14:05 UTC.
    const NOW: u64 = 1_772_546_700_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_time_is_said_as_near_as_it_is() {
        let utc = |ago: u64| said(NOW - ago, NOW, Some(0));
        assert_eq!(utc(0), "today 14:05");
        assert_eq!(utc(14 * HOUR), "today 00:05");
        assert_eq!(utc(15 * HOUR), "yesterday 23:05");
        assert_eq!(utc(48 * HOUR), "Sun 14:05");
        assert_eq!(utc(7 * 24 * HOUR), "24 Feb");
        assert_eq!(utc(90 * 24 * HOUR), "3 Dec 2025");
        assert_eq!(said(NOW + HOUR, NOW, Some(0)), "today 15:05", "a clock that is ahead");
    }

    #[test]
    fn the_zone_moves_clock_and_day() {
        assert_eq!(said(NOW, NOW, Some(2 * 3_600)), "today 16:05");
        assert_eq!(said(NOW, NOW, Some(-5 * 3_600)), "today 09:05");
        assert_eq!(said(NOW - 6 * HOUR, NOW, Some(10 * 3_600)), "yesterday 18:05");
        assert_eq!(said(NOW - 5 * 60_000, NOW, None), "5 min ago");
        assert_eq!(said(NOW, NOW, None), "just now");
    }

    #[test]
    fn leap_days_exist() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-1), (1969, 12, 31));
    }

    #[test]
    fn a_timer_has_hours_only_once_there_are_some() {
        assert_eq!((timer(7).as_str(), timer(247).as_str(), timer(3_729).as_str()), ("0:07", "4:07", "1:02:09"));
    }
}
