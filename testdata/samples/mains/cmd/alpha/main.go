// Command alpha greets.
package main

import (
	"fmt"

	"example.com/mains/internal/greet"
	"example.com/mains/internal/place"
)

var version = "unknown"

func main() {
	fmt.Println("alpha", version, greet.Hello("alpha"), place.Name())
}
