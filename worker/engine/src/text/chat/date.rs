//! The day a chat template is told it is.

use minijinja::{Error as TemplateError, ErrorKind};

use crate::Error;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: u32,
    /// From 1.
    month: u32,
    /// From 1.
    day: u32,
}

impl Date {
    /// Reads `2026-11-25`. Fails if there is no such day.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<_> = text.split('-').map(str::parse).collect();
        if let [Ok(year), Ok(month), Ok(day)] = parts[..] {
            let date = Self { year, month, day };
            if (1..=9999).contains(&year)
                && (1..=12).contains(&month)
                && day >= 1
                && day <= date.days_of_month()
            {
                return Ok(date);
            }
        }
        Err(Error::Specification {
            reason: format!("the chat's `date` is `{text}`, expected a day such as `2026-11-25`"),
        })
    }

    /// Writes the date as Python's `strftime` does. Fails at a mark that is not of a date.
    pub(super) fn format(self, format: &str) -> Result<String, TemplateError> {
        let mut text = String::new();
        let mut marks = format.chars();
        while let Some(letter) = marks.next() {
            if letter != '%' {
                text.push(letter);
                continue;
            }
            let mut mark = marks.next();
            let is_bare = mark == Some('-');
            if is_bare {
                mark = marks.next();
            }
            let number = |value: u32| {
                if is_bare {
                    value.to_string()
                } else {
                    format!("{value:02}")
                }
            };
            let month = MONTHS[self.month as usize - 1];
            let weekday = WEEKDAYS[self.weekday()];
            let piece = match mark {
                Some('d') => number(self.day),
                Some('m') => number(self.month),
                Some('y') => number(self.year % 100),
                Some('Y') => format!("{:04}", self.year),
                Some('B') => month.to_owned(),
                Some('b') => month[..3].to_owned(),
                Some('A') => weekday.to_owned(),
                Some('a') => weekday[..3].to_owned(),
                Some('%') => "%".to_owned(),
                _ => {
                    let reason = format!("`{format}` asks for more than a date");
                    return Err(TemplateError::new(ErrorKind::InvalidOperation, reason));
                }
            };
            text.push_str(&piece);
        }
        Ok(text)
    }

    fn days_of_month(self) -> u32 {
        let is_leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Returns the day of the week, from 0 for Monday, by Sakamoto's method.
    fn weekday(self) -> usize {
        const OFFSETS: [u32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = self.year - u32::from(self.month < 3);
        let sunday_based =
            year + year / 4 - year / 100 + year / 400 + OFFSETS[self.month as usize - 1] + self.day;
        (sunday_based as usize + 6) % 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let date = Date::parse("2024-02-29").unwrap();
        let text = date.format("%A, %-d %B %Y; %a %d.%m.%y %b 100%%").unwrap();
        assert_eq!(text, "Thursday, 29 February 2024; Thu 29.02.24 Feb 100%");
        assert_eq!(
            Date::parse("2026-11-25").unwrap().format("%a").unwrap(),
            "Wed"
        );
        assert!(date.format("%H").is_err());
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        for text in [
            "2023-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-1",
            "today",
            "",
        ] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
