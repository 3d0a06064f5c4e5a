// Package flow sends numbered UDP packets from one network namespace to another
// at a steady rate and counts at both ends: what was sent, and what came, twice,
// late or never.
//
// It measures the kernels between two sockets and not the machine that it runs
// on: a sender that gets no CPU sends less, in no larger bursts than else; it
// stays on one CPU, whose queue keeps an order; the receiver's buffer holds
// seconds; and packets that the kernel drops because a CPU's queue is full are
// counted apart. Sockets belong to the namespace in which they are made, so both
// ends are goroutines of the caller, and no program has to run inside.
package flow
