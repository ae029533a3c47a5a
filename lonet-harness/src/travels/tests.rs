//! What is accepted comes back equal, and nothing else is refused: over types of every shape that
//! serde has.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Marker;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wrapped<T>(T);

/// Hands its bytes over at once.
#[derive(Clone, Debug, PartialEq)]
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        Vec::deserialize(deserializer).map(Raw)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Left,
    Right,
    Numbered(u8),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    first: Option<u8>,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<f64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    Whole(i64),
    Real(f64),
    Text(String),
    Many(Vec<Untagged>),
    Object { of: Option<Box<Untagged>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Inside {
    Unit,
    Newtype(Flat),
    Struct { of: Option<f64> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Beside {
    Unit,
    Newtype(Option<Option<u8>>),
    Tuple(f32, Option<()>),
    Struct { of: u128 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Unit,
    Nothing(()),
    Marker(Marker),
    Scalars(bool, char, i128, u128, f32, f64),
    Text(String),
    Levels(Option<Option<Option<u8>>>),
    OfNull(Option<()>, Option<Marker>, Option<Wrapped<Option<i8>>>),
    Maybe(Option<Box<Value>>),
    Tuple(Wrapped<f64>, (u8, Option<f32>), [Option<char>; 2]),
    Struct {
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<Option<u8>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        list: Vec<Value>,
    },
    Bytes(Vec<u8>, Raw),
    ByText(BTreeMap<String, Value>),
    ByNumber(BTreeMap<i128, Option<bool>>, BTreeMap<Wrapped<u8>, f64>),
    ByScalar(
        BTreeMap<bool, ()>,
        BTreeMap<char, ()>,
        BTreeMap<Option<u8>, ()>,
    ),
    ByPair(BTreeMap<(u8, u8), u8>, BTreeMap<(), u8>),
    ByKey(BTreeMap<Key, u8>),
    Outcome(Result<Option<f32>, String>),
    Flat(Flat),
    Untagged(Untagged, Option<Untagged>),
    Inside(Inside),
    Beside(Beside),
}

fn doubles() -> impl Strategy<Value = f64> {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    prop_oneof![8 => any::<f64>(), 1 => prop::sample::select(special.as_slice().to_vec())]
}

fn singles() -> impl Strategy<Value = f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    prop_oneof![8 => any::<f32>(), 1 => prop::sample::select(special.as_slice().to_vec())]
}

fn few<K: Ord + std::fmt::Debug, V: std::fmt::Debug>(
    key: impl Strategy<Value = K>,
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = BTreeMap<K, V>> {
    btree_map(key, value, 0..3)
}

fn flat() -> impl Strategy<Value = Flat> {
    (any::<Option<u8>>(), few("[a-c]{0,2}", of(doubles())))
        .prop_map(|(first, rest)| Flat { first, rest })
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        Just(Untagged::Nothing),
        any::<i64>().prop_map(Untagged::Whole),
        doubles().prop_map(Untagged::Real),
        any::<i8>().prop_map(|whole| Untagged::Real(whole.into())),
        any::<String>().prop_map(Untagged::Text),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Untagged::Many),
            of(inner.prop_map(Box::new)).prop_map(|of| Untagged::Object { of }),
        ]
    })
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        Just(Key::Left),
        Just(Key::Right),
        any::<u8>().prop_map(Key::Numbered)
    ]
}

fn inside() -> impl Strategy<Value = Inside> {
    prop_oneof![
        Just(Inside::Unit),
        flat().prop_map(Inside::Newtype),
        of(doubles()).prop_map(|of| Inside::Struct { of }),
    ]
}

fn beside() -> impl Strategy<Value = Beside> {
    prop_oneof![
        Just(Beside::Unit),
        any::<Option<Option<u8>>>().prop_map(Beside::Newtype),
        (singles(), any::<Option<()>>()).prop_map(|(a, b)| Beside::Tuple(a, b)),
        any::<u128>().prop_map(|of| Beside::Struct { of }),
    ]
}

fn leaves() -> impl Strategy<Value = Value> {
    let scalars = (any::<(bool, char, i128, u128)>(), singles(), doubles());
    let tuple = (
        doubles(),
        any::<u8>(),
        of(singles()),
        any::<[Option<char>; 2]>(),
    );
    let of_null = (
        any::<Option<()>>(),
        of(Just(Marker)),
        of(any::<Option<i8>>()),
    );
    let by_scalar = (few(any::<bool>(), Just(())), few(any::<char>(), Just(())));
    let by_scalar = (by_scalar, few(any::<Option<u8>>(), Just(())));
    prop_oneof![
        Just(Value::Unit),
        Just(Value::Nothing(())),
        Just(Value::Marker(Marker)),
        scalars.prop_map(|((a, b, c, d), e, f)| Value::Scalars(a, b, c, d, e, f)),
        any::<String>().prop_map(Value::Text),
        any::<Option<Option<Option<u8>>>>().prop_map(Value::Levels),
        of_null.prop_map(|(a, b, c)| Value::OfNull(a, b, c.map(Wrapped))),
        tuple.prop_map(|(a, b, c, d)| Value::Tuple(Wrapped(a), (b, c), d)),
        (any::<Vec<u8>>(), any::<Vec<u8>>()).prop_map(|(a, b)| Value::Bytes(a, Raw(b))),
        (
            few(any::<i128>(), any::<Option<bool>>()),
            few(any::<u8>().prop_map(Wrapped), doubles())
        )
            .prop_map(|(a, b)| Value::ByNumber(a, b)),
        by_scalar.prop_map(|((a, b), c)| Value::ByScalar(a, b, c)),
        (
            few(any::<(u8, u8)>(), any::<u8>()),
            few(Just(()), any::<u8>())
        )
            .prop_map(|(a, b)| Value::ByPair(a, b)),
        few(keys(), any::<u8>()).prop_map(Value::ByKey),
        prop_oneof![of(singles()).prop_map(Ok), any::<String>().prop_map(Err)]
            .prop_map(Value::Outcome),
        flat().prop_map(Value::Flat),
        (untagged(), of(untagged())).prop_map(|(a, b)| Value::Untagged(a, b)),
        inside().prop_map(Value::Inside),
        beside().prop_map(Value::Beside),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    leaves().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            of(inner.clone().prop_map(Box::new)).prop_map(Value::Maybe),
            few(any::<String>(), inner.clone()).prop_map(Value::ByText),
            (any::<Option<Option<u8>>>(), vec(inner, 0..3))
                .prop_map(|(skipped, list)| Value::Struct { skipped, list }),
        ]
    })
}

/// Whether serde_json alone would give something else back, or nothing.
fn is_lost(value: &Value) -> bool {
    let json = serde_json::to_string(value);
    let back = json.and_then(|json| serde_json::from_str::<Value>(&json));
    back.ok().as_ref() != Some(value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_come_back_equal_or_are_refused(value in values()) {
        match write(&value) {
            Ok(json) => prop_assert_eq!(read::<Value>(&json), Ok(value)),
            Err(refused) => prop_assert!(is_lost(&value), "{}", refused),
        }
    }
}

/// What is said of a value that is refused.
fn refused<T: Serialize + 'static>(value: T) -> String {
    write(&value).unwrap_err().to_string()
}

#[test]
fn what_is_refused_is_named_with_its_place() {
    assert_eq!(
        refused(Some(())),
        "JSON can't tell a `Some` of `()` that is `null` from `None`"
    );
    assert_eq!(
        refused(Some(None::<u8>)),
        "JSON can't tell a `Some` of `core::option::Option<u8>` that is `null` from `None`"
    );
    let list = vec![Inside::Unit, Inside::Struct { of: Some(f64::NAN) }];
    assert_eq!(refused(list), "JSON has no number NaN (at [1].of)");
    assert_eq!(
        refused(BTreeMap::from([((1, 2), 3)])),
        "a key must be a string in JSON, and `(i32, i32)` is not"
    );
    assert_eq!(
        refused(Value::ByPair(BTreeMap::new(), [((), 1)].into())),
        "a key must be a string in JSON, and `()` is not (at .ByPair[1])"
    );
    let by_key = BTreeMap::from([("a\"b", [0.0, f64::INFINITY])]);
    assert_eq!(
        refused(Wrapped(by_key)),
        r#"JSON has no number inf (at ["a\"b"][1])"#
    );
    let flat = Flat {
        first: None,
        rest: [("x".to_owned(), Some(f64::NEG_INFINITY))].into(),
    };
    assert_eq!(
        refused((1, Inside::Newtype(flat))),
        r#"JSON has no number -inf (at [1]["x"])"#
    );
    assert_eq!(
        refused(Beside::Tuple(0.0, Some(()))),
        "JSON can't tell a `Some` of `()` that is `null` from `None` (at .c[1])"
    );
}

/// A type may write what it can't read: only the reader can tell.
#[test]
fn an_unreadable_value_is_an_error_of_the_reader() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Numbered {
        #[serde(flatten)]
        by_number: BTreeMap<u8, u8>,
    }
    let json = write(&Numbered {
        by_number: [(1, 2)].into(),
    })
    .unwrap();
    assert!(read::<Numbered>(&json).is_err());
}

#[test]
fn bytes_are_a_text() {
    let json = write(&vec![0_u8, 0xa9]).unwrap();
    assert_eq!(json, r#""00a9""#);
    assert_eq!(read(&json), Ok(vec![0_u8, 0xa9]));
    assert_eq!(
        read::<Vec<u8>>("[0,169]"),
        Err("they are not the digits of bytes".to_owned())
    );
}

#[test]
fn a_value_is_one_line() {
    let raw = RawValue::from_string("[1,\n\"\\n\"]".to_owned()).unwrap();
    assert_eq!(write(&raw).unwrap(), "[1, \"\\n\"]");
}
