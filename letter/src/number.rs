//! Decimal numbers as people write them: grouped, rounded as on paper. No floating point: 1.005 is 1.01 with two decimals.

/// A decimal number, exactly as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// ASCII digits before the point, at least one.
    whole: String,
    /// ASCII digits after the point.
    fraction: String,
}

/// How to write a number.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// Digits after the point; as many as there are, if none.
    pub(crate) decimals: Option<u32>,
    /// Between groups of three digits.
    pub(crate) group: String,
    /// Before the decimals.
    pub(crate) point: String,
}

impl Decimal {
    /// Reads `-12.50`, `67000`, `+3`. None for anything else (`1,000`, `1e3`, `.5`, `inf`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (!whole.is_empty() && all_digits(whole) && all_digits(fraction)).then(|| Self {
            negative,
            whole: trimmed(whole).to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    /// Whether it shows a minus in this style: what rounds to zero shows none.
    pub(crate) fn is_negative_when(&self, style: &Style) -> bool {
        let rounded = self.rounded(style.decimals);
        rounded.negative && (rounded.whole != "0" || rounded.fraction.bytes().any(|digit| digit != b'0'))
    }

    /// Without its sign.
    pub(crate) fn absolute(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    /// The number as text.
    pub(crate) fn written(&self, style: &Style) -> String {
        let Self { whole, mut fraction, .. } = self.rounded(style.decimals);
        if style.decimals.is_none() {
            fraction.truncate(fraction.trim_end_matches('0').len());
        }
        let mut text = String::with_capacity(whole.len() * 4 / 3 + fraction.len() + 4);
        if self.is_negative_when(style) {
            text.push('-');
        }
        for (at, digit) in whole.char_indices() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push_str(&style.group);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push_str(&style.point);
            text.push_str(&fraction);
        }
        text
    }

    /// Rounded half away from zero, filled up with zeros.
    fn rounded(&self, decimals: Option<u32>) -> Self {
        let Some(decimals) = decimals.map(|decimals| decimals as usize) else { return self.clone() };
        let mut rounded = self.clone();
        if self.fraction.len() <= decimals {
            rounded.fraction.extend(std::iter::repeat_n('0', decimals - self.fraction.len()));
            return rounded;
        }
        rounded.fraction.truncate(decimals);
        if self.fraction.as_bytes()[decimals] >= b'5' {
            let mut digits = format!("0{}{}", rounded.whole, rounded.fraction).into_bytes();
            for digit in digits.iter_mut().rev() {
                if *digit == b'9' {
                    *digit = b'0';
                } else {
                    *digit += 1;
                    break;
                }
            }
            let digits: String = digits.into_iter().map(char::from).collect();
            let (whole, fraction) = digits.split_at(digits.len() - decimals);
            trimmed(whole).clone_into(&mut rounded.whole);
            fraction.clone_into(&mut rounded.fraction);
        }
        rounded
    }
}

/// Without leading zeros, but for one.
fn trimmed(whole: &str) -> &str {
    let trimmed = whole.trim_start_matches('0');
    if trimmed.is_empty() { "0" } else { trimmed }
}

/// Decimals of a currency (ISO 4217, minor units).
pub(crate) fn minor_digits(code: &str) -> u32 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// The sign of a currency, where one is known that means no other.
pub(crate) fn symbol(code: &str) -> Option<&'static str> {
    Some(match code {
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "JPY" => "¥",
        "CNY" => "CN¥",
        "INR" => "₹",
        "KRW" => "₩",
        "ILS" => "₪",
        "VND" => "₫",
        "UAH" => "₴",
        "TRY" => "₺",
        "NGN" => "₦",
        "PHP" => "₱",
        "BRL" => "R$",
        "CAD" => "CA$",
        "AUD" => "A$",
        "NZD" => "NZ$",
        "HKD" => "HK$",
        "SGD" => "S$",
        "MXN" => "MX$",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, decimals: Option<u32>) -> String {
        let style = Style { decimals, group: ",".to_owned(), point: ".".to_owned() };
        Decimal::parse(text).map_or_else(|| "not a number".to_owned(), |number| number.written(&style))
    }

    #[test]
    fn numbers_are_grouped_and_rounded_as_on_paper() {
        for (text, decimals, expected) in [
            ("67000", None, "67,000"),
            ("88250.25", None, "88,250.25"),
            ("88250.50", None, "88,250.5"),
            ("67000", Some(2), "67,000.00"),
            ("1.005", Some(2), "1.01"),
            ("999.995", Some(2), "1,000.00"),
            ("0.5", Some(0), "1"),
            ("-0.004", Some(2), "0.00"),
            ("-1234567", None, "-1,234,567"),
            ("007", None, "7"),
            ("123", None, "123"),
            ("-999.5", Some(0), "-1,000"),
        ] {
            assert_eq!(written(text, decimals), expected, "{text} with {decimals:?} decimals");
        }
    }

    #[test]
    fn what_is_no_plain_number_is_refused() {
        for text in ["", "-", "1,000", "1e3", ".5", "5.", "inf", "NaN", "12 EUR", "٣"] {
            assert_eq!(written(text, None), "not a number", "{text}");
        }
    }
}
