module example.com/mains

go 1.26.0
