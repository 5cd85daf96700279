package main

// heapFloor is memory that is never written to, so that it takes none of the
// machine's. The collector counts it as live, and so does not start before
// twice as much has been allocated: most commands end without a collection, and
// a plan of ten thousand steps needs two instead of eight.
const heapFloor = 32 << 20

// newHeapFloor returns the floor. It holds while the slice is reachable. Whoever
// sets GOGC or GOMEMLIMIT decides alone.
func newHeapFloor(lookupEnv func(string) (string, bool)) []byte {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := lookupEnv(name); set {
			return nil
		}
	}
	return make([]byte, heapFloor)
}
