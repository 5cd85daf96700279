// Command beta greets, and says how loud it was built.
package main

import (
	"fmt"

	"example.com/mains/internal/greet"
)

var version = "unknown"

func main() {
	fmt.Println("beta", version, greet.Hello("beta"), volume)
}
