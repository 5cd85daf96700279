// Command app uses a module that no public proxy has.
package main

import (
	"fmt"

	"example.com/private/greet"
)

func main() { fmt.Println(greet.Hello("app")) }
