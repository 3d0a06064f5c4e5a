// Package behaviour holds the tests of what each field of the API does and of
// what becomes of each mistake, on a running lab. What is true is read from the
// routers, from kernels, from address stores and from packets; what Fairlead
// says of itself is compared with that.
package behaviour
