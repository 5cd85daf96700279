// Package lists makes other values out of lists: lists, sets and maps.
package lists

import (
	"cmp"
	"slices"
)

// Map returns f of each element, in their order; nil for an empty list.
func Map[T, U any](list []T, f func(T) U) []U {
	if len(list) == 0 {
		return nil
	}
	out := make([]U, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

// Set returns the elements as a set.
func Set[T comparable](list []T) map[T]bool { return SetBy(list, func(x T) T { return x }) }

// SetBy returns the keys of the elements as a set.
func SetBy[T any, K comparable](list []T, key func(T) K) map[K]bool {
	out := make(map[K]bool, len(list))
	for _, x := range list {
		out[key(x)] = true
	}
	return out
}

// By returns the elements by their keys. Of several with one key the last counts.
func By[T any, K comparable](list []T, key func(T) K) map[K]T {
	out := make(map[K]T, len(list))
	for _, x := range list {
		out[key(x)] = x
	}
	return out
}

// Unique sorts a list and returns it with each element once.
func Unique[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
