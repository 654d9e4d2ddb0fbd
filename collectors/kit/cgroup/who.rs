//! Who a container is.

/// What a runtime knows of a container; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The runtime's name for it.
    pub name: String,
    /// The image that it was made from.
    pub image: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The name of its pod.
    pub pod: String,
    /// The identity of its pod.
    pub pod_uid: String,
    /// Its name within the pod.
    pub container: String,
    /// Whether it only holds the pod's namespaces.
    pub is_sandbox: bool,
    /// How often it was started anew, where that is told.
    pub attempt: Option<u32>,
    /// Its first process, as the machine numbers it; never 0.
    pub pid: Option<u32>,
    /// What else the runtime was told to keep with it.
    pub labels: Vec<(String, String)>,
}
