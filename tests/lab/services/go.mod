module cloudpods.lab/services

go 1.21
