// Package lint holds the tests of the rules of .golangci.yml that say which
// package may import which, and of what a build may contain besides.
package lint
