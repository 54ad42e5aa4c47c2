//! Word's pictures: how a field shows a date (`\@ "d MMMM yyyy"`) or a number (`\# "#,##0.00"`); ECMA-376 Part 1, 17.16.4.

use crate::number::{Decimal, Style};

/// A date picture as a `strftime` format.
pub(super) fn strftime(picture: &str) -> String {
    let mut format = String::new();
    let mut chars = picture.chars().peekable();
    while let Some(c) = chars.next() {
        let mut count = 1;
        match c {
            '\'' => {
                while let Some(c) = chars.next().filter(|&c| c != '\'') {
                    push_plain(&mut format, c);
                }
                continue;
            }
            'a' | 'A' if next_is(&picture[picture.len() - rest_of(&chars)..], "m/pm") => {
                chars.nth(3);
                format.push_str("%p");
                continue;
            }
            'd' | 'D' | 'M' | 'y' | 'Y' | 'h' | 'H' | 'm' | 's' | 'S' => {
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
            }
            _ => {}
        }
        match (c, count) {
            ('d' | 'D', 1) => format.push_str("%-d"),
            ('d' | 'D', 2) => format.push_str("%d"),
            ('d' | 'D', 3) => format.push_str("%a"),
            ('d' | 'D', _) => format.push_str("%A"),
            ('M', 1) => format.push_str("%-m"),
            ('M', 2) => format.push_str("%m"),
            ('M', 3) => format.push_str("%b"),
            ('M', _) => format.push_str("%B"),
            ('y' | 'Y', 1 | 2) => format.push_str("%y"),
            ('y' | 'Y', _) => format.push_str("%Y"),
            ('h', 1) => format.push_str("%-I"),
            ('h', _) => format.push_str("%I"),
            ('H', 1) => format.push_str("%-H"),
            ('H', _) => format.push_str("%H"),
            ('m', 1) => format.push_str("%-M"),
            ('m', _) => format.push_str("%M"),
            ('s' | 'S', 1) => format.push_str("%-S"),
            ('s' | 'S', _) => format.push_str("%S"),
            (c, _) => push_plain(&mut format, c),
        }
    }
    format
}

fn rest_of(chars: &std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    chars.clone().map(char::len_utf8).sum()
}

fn next_is(rest: &str, wanted: &str) -> bool {
    rest.get(..wanted.len()).is_some_and(|next| next.eq_ignore_ascii_case(wanted))
}

fn push_plain(format: &mut String, c: char) {
    format.push(c);
    if c == '%' {
        format.push('%');
    }
}

/// A number in a picture: `0` is a digit always shown, `#` one shown where there is one, `,` groups, `.` begins the decimals, `'…'` and all else is
/// text. Up to three pictures with `;` between: for positive numbers, negative ones, zero.
pub(super) fn number(picture: &str, value: &Decimal) -> String {
    let whole = Style { decimals: None, group: String::new(), point: ".".to_owned() };
    let is_negative = value.is_negative_when(&whole);
    let is_zero = value.absolute().written(&whole) == "0";
    let mut pictures = picture.split(';');
    let positive = pictures.next().unwrap_or_default();
    let negative = pictures.next();
    let zero = pictures.next();
    match (negative, zero) {
        (_, Some(zero)) if is_zero => shown(zero, value, false),
        (Some(negative), _) if is_negative => shown(negative, &value.absolute(), false),
        _ => shown(positive, &value.absolute(), is_negative),
    }
}

fn shown(picture: &str, value: &Decimal, is_negative: bool) -> String {
    let is_digit = |c: char| matches!(c, '#' | '0' | ',' | '.');
    let is_place = |c: char| matches!(c, '#' | '0');
    let Some(start) = picture.find(is_place) else { return picture.replace('\'', "") };
    let end = picture[start..].find(|c| !is_digit(c)).map_or(picture.len(), |length| start + length);
    let (before, pattern, behind) = (&picture[..start], &picture[start..end], &picture[end..]);
    // A point or comma at the end belongs to the sentence.
    let places = pattern.trim_end_matches(['.', ',']);
    let (behind_pattern, pattern) = (&pattern[places.len()..], places);
    let (whole, decimals) = pattern.split_once('.').unwrap_or((pattern, ""));
    let style = Style {
        decimals: Some(u32::try_from(decimals.chars().filter(|&c| is_place(c)).count()).unwrap_or(0)),
        group: if whole.contains(',') { ",".to_owned() } else { String::new() },
        point: ".".to_owned(),
    };
    let mut text = value.written(&style);
    // `#` behind the point shows no trailing zeros.
    let optional = decimals.len() - decimals.trim_end_matches('#').len();
    for _ in 0..optional {
        match text.strip_suffix('0') {
            Some(shorter) if text.contains('.') => text = shorter.to_owned(),
            _ => break,
        }
    }
    if text.ends_with('.') {
        text.pop();
    }
    let wanted = whole.chars().filter(|&c| c == '0').count();
    let have = text.split('.').next().unwrap_or_default().chars().filter(char::is_ascii_digit).count();
    let padding = "0".repeat(wanted.saturating_sub(have));
    let minus = if is_negative { "-" } else { "" };
    let plain = |text: &str| text.replace('\'', "");
    format!("{}{minus}{padding}{text}{behind_pattern}{}", plain(before), plain(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_pictures_become_strftime_formats() {
        for (picture, format) in [
            ("d MMMM yyyy", "%-d %B %Y"),
            ("dd.MM.yy", "%d.%m.%y"),
            ("dddd, d. MMM yyyy HH:mm", "%A, %-d. %b %Y %H:%M"),
            ("h:mm AM/PM", "%-I:%M %p"),
            ("d 'day of' M 100%", "%-d day of %-m 100%%"),
        ] {
            assert_eq!(strftime(picture), format, "{picture}");
        }
    }

    #[test]
    fn number_pictures_group_round_and_pad() {
        let show = |picture: &str, value: &str| number(picture, &Decimal::parse(value).expect("a number"));
        assert_eq!(show("#,##0.00", "1234567.5"), "1,234,567.50");
        assert_eq!(show("#,##0", "999.5"), "1,000");
        assert_eq!(show("€ #,##0.00 a year", "67000"), "€ 67,000.00 a year");
        assert_eq!(show("0000", "42"), "0042");
        assert_eq!(show("0.##", "1.50"), "1.5");
        assert_eq!(show("0.##", "2"), "2");
        assert_eq!(show("#,##0.00", "-12.345"), "-12.35");
        assert_eq!(show("0.0;(0.0);none", "-3"), "(3.0)");
        assert_eq!(show("0.0;(0.0);none", "0"), "none");
        assert_eq!(show("text", "0"), "text");
    }
}
