module dump

go 1.21
