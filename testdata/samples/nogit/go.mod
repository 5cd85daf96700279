module example.com/nogit

go 1.26.0
