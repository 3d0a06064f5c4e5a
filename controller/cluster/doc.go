// Package cluster is the elected half of Fairlead: it turns Nodes and IPPools
// into leases (AddressPlan, IPBlock), Nodes and BGPConfigurations into routing
// facts (BGPNode), and what agents report into status. It opens Nodes to pods whose
// agents have become ready.
//
// Four passes, each behind one key: lease, route, status, reach. A pass lists what the
// caches hold (observe), decides by pure functions of that State, and applies.
// Events within a pass's interval squash into one, so that the cost of a burst
// does not depend on its size.
//
// Invariants, with two leaders at once too:
//   - A block is created only in a range that the AddressPlan, read live, gives
//     to the block's pool. Entries of the AddressPlan never overlap: every change
//     is a compare-and-swap. An entry goes only when its pool has been gone for
//     a cooling period, which outlasts every leader that might still lease from
//     it, and no block lies in it (read live).
//   - Creating an IPBlock is the lock on its addresses, since its name is its CIDR.
//   - A node has one block of each pool that selects it, and more only as far as
//     its own NodeState says that it needs them and maxBlocksPerNode lets it.
//     Of a pool with source NodeSpec it is what the Node's podCIDRs say, and no more.
//   - A pool's blocks are leased one after the other and lowest first, and who
//     loses the race for a block looks whose it became. Two leaders so walk the
//     same way, and one finds the other's block for a node before it can take a
//     second. A node that has one is given another only after a live look at what
//     it has. Only with a block freed in the same moment can a node get one too
//     many: then all are its own, no address is shared, and the youngest is drained,
//     at once if the node grew, and when its agent gives it back otherwise.
//   - A block that no IPBlock has and that a node reports pods in is kept for that
//     node, and leased to it again: IPBlocks may be deleted by hand, or be younger than
//     a copy of the API server's data that was put back.
//   - Every change of a block names the resourceVersion that it was decided on,
//     and what cannot be undone is decided on live reads.
//   - A block goes Leased, Draining, Cooling, deleted, and never back. A pool set
//     back to Active leases new blocks: an agent may have released a Draining
//     block at the same moment, and its report names a UID and no more, so that
//     one given back could be taken for released by an older report.
package cluster
