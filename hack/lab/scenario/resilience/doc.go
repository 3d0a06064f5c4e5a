// Package resilience holds the tests of what must go on, and come back, while
// parts of a running lab are killed, cut off and disturbed. What is true is read
// from the routers' tables, from kernels and from packets, never from what
// Fairlead says of itself.
package resilience
