//! Countries as rules name them: ISO 3166-1 alpha-2, or `unknown` for an address whose country nobody knows.

use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};

/// What a rule calls a country that the platform does not know.
pub const UNKNOWN: &str = "unknown";

/// ISO 3166-1 alpha-2 as of 2026, and XK, under which databases of addresses have Kosovo.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA \
    GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG \
    KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW \
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD \
    SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA \
    VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// What people write, and what would be right.
const SLIPS: [(&str, &str); 6] = [
    ("EU", "the European Union is no country; list its members, or list the others under `not_country`"),
    ("AP", "a region is no country"),
    ("UK", "the United Kingdom is GB"),
    ("EL", "Greece is GR"),
    ("XX", "the country of an address that nobody knows is `unknown`"),
    ("ZZ", "the country of an address that nobody knows is `unknown`"),
];

/// A country, or [`UNKNOWN`].
#[derive(Clone, Debug)]
pub struct Country(String);

/// Whether `code` is a country's.
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code_of(code) == Some(code)
}

/// The code that `text` is in another case, or itself.
fn code_of(text: &str) -> Option<&'static str> {
    CODES.split_ascii_whitespace().find(|code| code.eq_ignore_ascii_case(text))
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0
    }
}

impl Read for Country {
    fn expected() -> String {
        "a country of ISO 3166-1 in two upper-case letters such as DE, or unknown".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Some(text) = node.as_text() else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        if text == UNKNOWN || is_country(text) {
            return Some(Self(text.to_owned()));
        }
        let slip = SLIPS.iter().find(|(slip, _)| slip.eq_ignore_ascii_case(text)).map(|(_, right)| (*right).to_owned());
        let right = slip.or_else(|| code_of(text).map(|code| format!("did you mean {code}?")));
        let right = right.map_or(String::new(), |right| format!(" ({right})"));
        faults.note(path, format!("no country{right}; expected {}", Self::expected()));
        None
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Country {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Country".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^([A-Z]{2}|unknown)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_countries_are_countries() {
        assert_eq!(CODES.split_ascii_whitespace().count(), 250);
        assert!(CODES.split_ascii_whitespace().is_sorted());
        for code in ["DE", "US", "XK", "GB"] {
            assert!(is_country(code), "{code}");
        }
        for code in ["", "D", "de", "EU", "UK", "XX", "T1", "DEU", "**", "DE AE", "E "] {
            assert!(!is_country(code), "{code}");
        }
    }
}
