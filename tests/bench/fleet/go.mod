module cloudpods.lab/fleet

go 1.24
