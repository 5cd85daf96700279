// Command hello greets whoever it is told to.
package main

import (
	"flag"
	"fmt"

	"example.com/hello/greet"
)

var version = "dev" // stamped by the build

func main() {
	who := flag.String("to", "world", "whom to greet")
	showVersion := flag.Bool("version", false, "print the version")
	flag.Parse()
	if *showVersion {
		fmt.Println("hello", version)
		return
	}
	fmt.Println(greet.Hello(*who))
}
