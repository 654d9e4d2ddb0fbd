//! What the kubelet notes of the volumes that drivers provide.

use super::json::{Broken, Json};

/// The longest that is read of such a file.
const BYTES_MAX: usize = 64 << 10;

/// What `vol_data.json` says, beside a volume of CSI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeData {
    /// The name of the persistent volume.
    pub volume: String,
    /// Whether it outlives its pod, and not one that the pod itself describes.
    pub is_persistent: bool,
}

impl VolumeData {
    /// `{"specVolID":"pvc-1b7e…","volumeLifecycleMode":"Persistent", …}`; `None`: it is something else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut data = Self::default();
        let read = |data: &mut Self| -> Result<(), Broken> {
            Json::new(&mut bytes.get(..BYTES_MAX).unwrap_or(bytes)).object(&mut |json, name| {
                match name {
                    "specVolID" => data.volume = json.text()?.unwrap_or_default(),
                    "volumeLifecycleMode" => data.is_persistent = json.text()?.as_deref() == Some("Persistent"),
                    _ => json.skip()?,
                }
                Ok(())
            })
        };
        read(&mut data).ok()?;
        (!data.volume.is_empty()).then_some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_driver() {
        let text = br#"{"attachmentID":"csi-0","driverName":"ebs.csi.aws.com","nodeName":"n","specVolID":"pvc-1b7e",
            "volumeHandle":"vol-1","volumeLifecycleMode":"Persistent"}"#;
        assert_eq!(VolumeData::parse(text), Some(VolumeData { volume: "pvc-1b7e".to_owned(), is_persistent: true }));
        let own = VolumeData::parse(br#"{"specVolID":"csi-00","volumeLifecycleMode":"Ephemeral"}"#).unwrap();
        assert!(!own.is_persistent);
        for bad in ["", "{}", "[]", r#"{"specVolID":7}"#, r#"{"specVolID":"x""#] {
            assert_eq!(VolumeData::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            VolumeData::parse(&bytes);
        }
    }
}
