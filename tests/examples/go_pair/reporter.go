// Has the words of a line counted, and tells an editor how many there are.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
)

func main() {
	counter, err := net.Dial("tcp", "counter:7000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(counter, "to be or not to be")
	answer, err := io.ReadAll(counter)
	if err != nil {
		log.Fatal(err)
	}
	counter.Close()
	editor, err := net.Dial("tcp", "editor:1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(editor, "words: %s", answer)
	editor.Close()
}
