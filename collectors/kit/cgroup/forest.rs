//! The cgroups that there are, kept from round to round.

use super::name;
use super::within::Folder;
use super::{Handle, Kind, Trees};
use crate::kit::{Error, Host, Root};

/// How deep it is looked. Slices of systemd nest as deep as their names have dashes.
const DEPTH_MAX: usize = 24;
/// How many cgroups are looked at.
const NODES_MAX: usize = 20_000;

/// Whether a cgroup is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is.
    Alive,
    /// It was removed.
    Gone,
}

/// A cgroup, with what its owner keeps of it.
#[derive(Debug)]
pub struct Node<T> {
    /// Its path from the root of its tree, `/` for the root itself.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// The file by whose handle its death is heard of, if that is kept; to be read first.
    pub pulse: Handle,
    /// Whether its owner has another handle of it that is kept and read each round, by which its death is heard of too.
    pub is_heard: bool,
    /// What its owner keeps.
    pub own: T,
    folder: Folder,
    inode: u64,
    links: u64,
    children: Vec<Node<T>>,
}

/// The cgroups of the machine.
///
/// A round costs one call for each cgroup that may have others in it, and reads a folder only where something was made
/// or removed.
#[derive(Debug)]
pub struct Forest<T> {
    /// Where the controllers are.
    pub trees: Trees,
    root: Node<T>,
    nodes: usize,
    keeps_folders: bool,
}

impl<T: Default> Node<T> {
    fn new(host: &mut Host, trees: &Trees, path: String, kind: Kind) -> Result<Self, Error> {
        let (inode, _) = host.cgroup_folder(trees.walked(), &path)?;
        let (pulse, own, folder, children) = (Handle::default(), T::default(), Folder::default(), Vec::new());
        Ok(Self { path, kind, pulse, is_heard: false, own, folder, inode, links: 0, children })
    }

    /// What is in it.
    pub fn children(&mut self) -> &mut [Node<T>] {
        &mut self.children
    }

    /// Whether others may be in it that are looked at.
    fn may_hold(&self) -> bool {
        !matches!(self.kind, Kind::Container { .. })
    }
}

impl<T: Default> Forest<T> {
    /// The cgroups of this machine; `None`: it has none.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn open(host: &mut Host) -> Result<Option<Self>, Error> {
        let Some(trees) = Trees::find(host)? else { return Ok(None) };
        let root = Node::new(host, &trees, "/".to_owned(), Kind::Root)?;
        Ok(Some(Self { trees, root, nodes: 1, keeps_folders: false }))
    }

    /// Keeps the folder of each cgroup where that is worth it: for an owner who opens several files of it each round. In
    /// version 1 they are in several folders.
    pub fn keeping_folders(self) -> Self {
        Self { keeps_folders: self.trees.unified(), ..self }
    }

    /// Where the controllers are, and the root with all that is below: for what is told when all have been visited.
    pub fn parts(&mut self) -> (&Trees, &mut Node<T>) {
        (&self.trees, &mut self.root)
    }

    /// How many cgroups there are.
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// Whether there are more than are looked at.
    pub fn is_full(&self) -> bool {
        self.nodes >= NODES_MAX
    }

    /// Whether there is none; there always is the root.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// Shows each cgroup to `visit`, parents before their children: the kernel has then summed up what children did, and
    /// their own sums cost little.
    ///
    /// # Errors
    /// The tree itself can't be read any more.
    pub fn round(
        &mut self,
        host: &mut Host,
        visit: &mut dyn FnMut(&mut Host, &Trees, &mut Node<T>) -> Life,
    ) -> Result<(), Error> {
        let keeps_folders = self.keeps_folders;
        let mut walk = Walk { host, trees: &self.trees, keeps_folders, visit, nodes: 0, error: None };
        let life = walk.step(&mut self.root, 0);
        self.nodes = walk.nodes;
        match walk.error.take() {
            Some(error) if life == Life::Gone => Err(error),
            _ => Ok(()),
        }
    }
}

struct Walk<'a, T> {
    host: &'a mut Host,
    trees: &'a Trees,
    keeps_folders: bool,
    visit: &'a mut dyn FnMut(&mut Host, &Trees, &mut Node<T>) -> Life,
    nodes: usize,
    /// Why the last cgroup was taken for gone.
    error: Option<Error>,
}

impl<T: Default> Walk<'_, T> {
    fn step(&mut self, node: &mut Node<T>, depth: usize) -> Life {
        self.nodes += 1;
        let mut links = None;
        if node.may_hold() || !(node.is_heard || node.pulse.is_kept()) {
            match self.host.cgroup_folder(self.trees.walked(), &node.path) {
                // Another one under the same name, of which nothing must be told as if it were the old one.
                Ok((inode, _)) if inode != node.inode => return Life::Gone,
                Ok((_, found)) => links = Some(found).filter(|_| node.may_hold()),
                Err(error) => {
                    self.error = Some(error);
                    return Life::Gone;
                }
            }
        }
        match (self.visit(node), links) {
            (Life::Alive, Some(links)) => self.children(node, links, depth),
            (life, _) => life,
        }
    }

    fn visit(&mut self, node: &mut Node<T>) -> Life {
        if !self.keeps_folders {
            return (self.visit)(self.host, self.trees, node);
        }
        self.host.enter(&node.path, std::mem::take(&mut node.folder));
        let life = (self.visit)(self.host, self.trees, node);
        node.folder = self.host.leave();
        life
    }

    fn children(&mut self, node: &mut Node<T>, links: u64, depth: usize) -> Life {
        // Fewer than two: this filesystem does not count folders.
        let is_as_it_was = links == node.links && links >= 2;
        let mut all_live = true;
        if !is_as_it_was {
            self.list(node, depth);
        }
        node.links = links;
        node.children.retain_mut(|child| {
            let lives = self.step(child, depth + 1) == Life::Alive;
            all_live &= lives;
            lives
        });
        if !all_live {
            // One may have been made anew under the same name.
            let before: Vec<String> = node.children.iter().map(|child| child.path.clone()).collect();
            self.list(node, depth);
            node.children.retain_mut(|child| {
                before.binary_search(&child.path).is_ok() || self.step(child, depth + 1) == Life::Alive
            });
        }
        Life::Alive
    }

    /// Takes in those that are new, and drops those that are no more.
    fn list(&mut self, node: &mut Node<T>, depth: usize) {
        if depth == DEPTH_MAX {
            return;
        }
        let folder = format!("{}{}", self.trees.walked().trim_start_matches('/'), node.path);
        let mut names: Vec<String> = Vec::new();
        // Files are many, and no folder of a cgroup has a dot and a known controller's name before it.
        let listed = self.host.each_folder(Root::Cgroup, folder.trim_end_matches('/'), |name| names.push(name.into()));
        if listed.is_err() {
            return;
        }
        names.sort_unstable();
        let mut known = std::mem::take(&mut node.children).into_iter().peekable();
        let above = node.path.trim_end_matches('/');
        for name in names {
            let path = format!("{above}/{name}");
            while known.next_if(|child| child.path < path).is_some() {}
            if let Some(child) = known.next_if(|child| child.path == path) {
                node.children.push(child);
                continue;
            }
            let Some(kind) = name::of(&node.kind, above, &name) else { continue };
            if self.nodes + node.children.len() >= NODES_MAX {
                break;
            }
            // One that is gone again already is none.
            node.children.extend(Node::new(self.host, self.trees, path, kind).ok());
        }
        node.children.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
