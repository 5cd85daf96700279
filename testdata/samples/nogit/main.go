// Command nogit says which version and time it was stamped with.
package main

import "fmt"

var version, built = "unknown", "unknown"

func main() { fmt.Println("nogit", version, built) }
